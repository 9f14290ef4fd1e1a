DELETE FROM deleted_request
WHERE number < (SELECT MAX(number) - :kept + 1 FROM deleted_request)
  AND number < (SELECT MIN(number) + :limit FROM deleted_request)
RETURNING number
