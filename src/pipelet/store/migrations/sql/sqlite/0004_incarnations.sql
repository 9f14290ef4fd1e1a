-- Which process a report is of: a name belongs to one at a time. Empty where a worker of the version before reports.

ALTER TABLE worker ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
