SELECT job.* FROM json_each(:ids) AS wanted JOIN job ON job.id = wanted.value
