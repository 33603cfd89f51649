"""The registry of images as container tools reach it: the same repositories as ECR's, in the protocol of OCI.

Each request stands for an operation of ECR, is allowed by its permission, and is in the audit log as that.

Source: "OCI Distribution Specification" 1.1.
"""
