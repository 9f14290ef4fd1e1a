SELECT * FROM cost_model WHERE profile = :profile AND phase = :phase
