"""What watching costs those who generate."""
