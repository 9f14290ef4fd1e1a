SELECT job_id FROM newest_request WHERE owner = :owner AND api = :api
