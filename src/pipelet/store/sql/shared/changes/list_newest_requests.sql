SELECT id FROM job WHERE owner = :user ORDER BY submitted_at DESC, id DESC LIMIT :limit
