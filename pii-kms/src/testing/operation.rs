//! The operations that the fake performs.

use std::fmt;

macro_rules! operations {
    ($($operation:ident, $docs:literal;)*) => {
        /// An operation of KMS or Secrets Manager.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $(#[doc = $docs] $operation,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// The name in the API.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$operation => stringify!($operation),)* }
            }
        }
    };
}

operations! {
    Decrypt, "`kms:Decrypt`";
    DescribeKey, "`kms:DescribeKey`";
    Encrypt, "`kms:Encrypt`";
    GenerateDataKey, "`kms:GenerateDataKey`";
    GenerateDataKeyPair, "`kms:GenerateDataKeyPair`";
    GenerateDataKeyPairWithoutPlaintext, "`kms:GenerateDataKeyPairWithoutPlaintext`";
    GenerateDataKeyWithoutPlaintext, "`kms:GenerateDataKeyWithoutPlaintext`";
    GetSecretValue, "`secretsmanager:GetSecretValue`";
    ListAliases, "`kms:ListAliases`";
    ReEncrypt, "`kms:ReEncryptFrom` on the key of the blob and `kms:ReEncryptTo` on the other";
}

impl Operation {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }

    /// The permissions it needs, by their names in IAM.
    pub(super) const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Decrypt => &["kms:Decrypt"],
            Self::DescribeKey => &["kms:DescribeKey"],
            Self::Encrypt => &["kms:Encrypt"],
            Self::GenerateDataKey => &["kms:GenerateDataKey"],
            Self::GenerateDataKeyPair => &["kms:GenerateDataKeyPair"],
            Self::GenerateDataKeyPairWithoutPlaintext => &["kms:GenerateDataKeyPairWithoutPlaintext"],
            Self::GenerateDataKeyWithoutPlaintext => &["kms:GenerateDataKeyWithoutPlaintext"],
            Self::GetSecretValue => &["secretsmanager:GetSecretValue"],
            Self::ListAliases => &["kms:ListAliases"],
            Self::ReEncrypt => &[RE_ENCRYPT_FROM, RE_ENCRYPT_TO],
        }
    }
}

pub(super) const RE_ENCRYPT_FROM: &str = "kms:ReEncryptFrom";
pub(super) const RE_ENCRYPT_TO: &str = "kms:ReEncryptTo";

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
