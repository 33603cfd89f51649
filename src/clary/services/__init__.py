"""One entry per AWS service, named as botocore names it; one method per operation."""
