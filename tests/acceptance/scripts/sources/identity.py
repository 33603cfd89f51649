import boto3

print(f"identity={boto3.client('sts').get_caller_identity()['Arn']}")
