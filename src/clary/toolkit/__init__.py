"""What runs inside a managed container: the training launcher, the model server and their data formats."""
