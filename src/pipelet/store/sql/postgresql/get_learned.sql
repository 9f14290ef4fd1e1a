SELECT * FROM learned WHERE kind = :kind AND phase = :phase
