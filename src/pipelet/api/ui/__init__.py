"""The page under `/ui/`: its files come from `pipelet/web`, without their comments."""
