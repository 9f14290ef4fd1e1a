DELETE FROM refusal WHERE day < :before
