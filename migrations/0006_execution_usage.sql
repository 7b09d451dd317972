-- What an execution used, as JSON; NULL where that is not known.
ALTER TABLE executions ADD COLUMN usage TEXT CHECK (usage IS NULL OR json_valid(usage));
