SELECT key FROM file WHERE delete_after <= :now ORDER BY delete_after LIMIT :limit
