INSERT INTO api_key (id, name, owner, hash, created_at, expires_at, revoked_at, scopes, max_priority,
                     max_queued_images, max_running_images)
VALUES (:id, :name, :owner, :hash, :created_at, :expires_at, :revoked_at, :scopes, :max_priority,
        :max_queued_images, :max_running_images)
RETURNING id
