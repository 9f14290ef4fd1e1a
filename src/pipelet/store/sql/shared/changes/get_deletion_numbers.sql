SELECT MIN(number) AS first, MAX(number) AS last FROM deleted_request
