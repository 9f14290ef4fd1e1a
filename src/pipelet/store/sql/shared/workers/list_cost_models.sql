SELECT * FROM cost_model
