# The tables of an application in DynamoDB: the key store of `pii`, and one table of sealed items. Goes beside
# main.tf, whose roles get permissions here.
#
# Losing the key table loses every value sealed under its keys, so it can't be deleted by mistake, and it can
# be recovered to any second of the last 35 days.

resource "aws_dynamodb_table" "data_keys" {
  name                        = "${var.app}-pii-data-keys"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true # without its records nothing opens, for ever
  }
}

# One of the application's own tables: #[pii(partition_key)] tenant, #[pii(sort_key)] id. Sealed fields are
# attributes of the type S and need no mention here; they can't be keys of a table or an index.
resource "aws_dynamodb_table" "customers" {
  name                        = "${var.app}-customers"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "tenant"
  range_key                   = "id"
  deletion_protection_enabled = true

  attribute {
    name = "tenant"
    type = "S"
  }

  attribute {
    name = "id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

locals {
  # what each role may do with the key table; nobody may delete from it
  key_store_actions = {
    read-write = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
    write-only = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"]
    read-only  = ["dynamodb:GetItem"]
  }
  # and with the application's own
  customers_actions = {
    read-write = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    write-only = ["dynamodb:PutItem"]
    read-only  = ["dynamodb:GetItem", "dynamodb:Query"]
  }
}

data "aws_iam_policy_document" "tables" {
  for_each = local.roles

  statement {
    sid       = "DataKeys"
    actions   = local.key_store_actions[each.key]
    resources = [aws_dynamodb_table.data_keys.arn]
  }
  statement {
    sid       = "Customers"
    actions   = local.customers_actions[each.key]
    resources = [aws_dynamodb_table.customers.arn]
  }
}

resource "aws_iam_role_policy" "tables" {
  for_each = local.roles
  name     = "pii-tables"
  role     = aws_iam_role.pii[each.key].id
  policy   = data.aws_iam_policy_document.tables[each.key].json
}

# For the person or job that rotates, rewraps and destroys data keys.
data "aws_iam_policy_document" "key_admin" {
  statement {
    sid       = "ManageDataKeys"
    actions   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.data_keys.arn]
  }
}

resource "aws_iam_policy" "key_admin" {
  name   = "${var.app}-pii-key-admin"
  policy = data.aws_iam_policy_document.key_admin.json
}

output "data_keys_table" {
  value = aws_dynamodb_table.data_keys.name
}
