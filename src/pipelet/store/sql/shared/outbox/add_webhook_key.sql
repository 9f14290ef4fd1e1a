INSERT INTO webhook_key (id, role, private, public, created_at, retired_at)
VALUES (:id, :role, :private, :public, :created_at, :retired_at)
