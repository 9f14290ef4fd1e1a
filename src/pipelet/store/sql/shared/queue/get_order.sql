SELECT name FROM queue_order
