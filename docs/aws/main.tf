# The key, the application secret of level 3 and the roles that `pii` needs on AWS.
#
# One key per kind of data and environment. The roles have the policies read-write, write-only and
# read-only of docs/aws/policies, with the key filled in: what a service may do is decided here, not
# by its code.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws    = { source = "hashicorp/aws", version = ">= 5.0" }
    random = { source = "hashicorp/random", version = ">= 3.0" }
  }
}

variable "app" {
  description = "Value of the pair `app` in the encryption context of the models"
  type        = string
}

variable "trusted_services" {
  description = "Service principals that may assume the roles"
  type        = list(string)
  default     = ["ecs-tasks.amazonaws.com"]
}

resource "aws_kms_key" "pii" {
  description             = "Wraps the data keys of ${var.app}"
  enable_key_rotation     = true # old versions keep opening what they wrapped
  deletion_window_in_days = 30
  multi_region            = false

  lifecycle {
    prevent_destroy = true # without this key nothing opens, for ever
  }
}

resource "aws_kms_alias" "pii" {
  name          = "alias/${var.app}-pii"
  target_key_id = aws_kms_key.pii.key_id
}

# Level 3: a secret of another owner than the key's.
resource "random_password" "app_key_v1" {
  length  = 64
  special = false
}

resource "aws_secretsmanager_secret" "app_keys" {
  name = "${var.app}/pii-app-keys"
}

resource "aws_secretsmanager_secret_version" "app_keys" {
  secret_id = aws_secretsmanager_secret.app_keys.id
  secret_string = jsonencode({
    app_encryption_keys = {
      level3_app_key_v1 = random_password.app_key_v1.result
      current_version   = 1
    }
  })
}

locals {
  # what each role may ask of the key, and for which purposes of data keys
  roles = {
    read-write = { actions = ["kms:GenerateDataKey", "kms:Decrypt"], purposes = ["seal", "subject", "index"] }
    write-only = { actions = ["kms:GenerateDataKey"], purposes = ["drop"] }
    read-only  = { actions = ["kms:Decrypt"], purposes = ["seal", "index", "subject", "drop"] }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = var.trusted_services
    }
  }
}

data "aws_iam_policy_document" "keys" {
  for_each = local.roles

  statement {
    actions   = each.value.actions
    resources = [aws_kms_key.pii.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:app"
      values   = [var.app]
    }
    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:pii:purpose"
      values   = each.value.purposes
    }
  }
}

resource "aws_iam_role" "pii" {
  for_each           = local.roles
  name               = "${var.app}-pii-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "keys" {
  for_each = local.roles
  name     = "pii-keys"
  role     = aws_iam_role.pii[each.key].id
  policy   = data.aws_iam_policy_document.keys[each.key].json
}

# Level 3 needs the secret as well, where it is written and where it is read.
data "aws_iam_policy_document" "app_keys" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.app_keys.arn]
  }
}

resource "aws_iam_role_policy" "app_keys" {
  for_each = local.roles
  name     = "pii-app-keys"
  role     = aws_iam_role.pii[each.key].id
  policy   = data.aws_iam_policy_document.app_keys.json
}

# Someone is told when the key is disabled or about to be deleted.
resource "aws_cloudwatch_event_rule" "key_in_danger" {
  name = "${var.app}-pii-key-in-danger"
  event_pattern = jsonencode({
    source      = ["aws.kms"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail = {
      eventName         = ["DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy"]
      requestParameters = { keyId = [aws_kms_key.pii.key_id, aws_kms_key.pii.arn] }
    }
  })
}

output "kms_key_arn" {
  value = aws_kms_key.pii.arn
}

output "app_keys_secret" {
  value = aws_secretsmanager_secret.app_keys.arn
}

output "role_arns" {
  value = { for name, role in aws_iam_role.pii : name => role.arn }
}
