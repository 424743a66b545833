//! The SDK's requests that give items.

use std::future::Future;

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        batch_get_item::{BatchGetItemError, BatchGetItemOutput, builders::BatchGetItemFluentBuilder},
        get_item::{GetItemError, GetItemOutput, builders::GetItemFluentBuilder},
        query::{QueryError, QueryOutput, builders::QueryFluentBuilder, paginator::QueryPaginator},
        scan::{ScanError, ScanOutput, builders::ScanFluentBuilder, paginator::ScanPaginator},
        transact_get_items::{
            TransactGetItemsError, TransactGetItemsOutput, builders::TransactGetItemsFluentBuilder,
        },
    },
};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use super::{
    keys::Wanted,
    request::{Projection, Request},
};
use crate::{expression::Meanings, item::Item};

/// A request of the SDK that gives items.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request that gives items",
    label = "use the client's `query`, `scan`, `get_item`, `batch_get_item` or `transact_get_items`, or a paginator"
)]
pub trait ReadItems: sealed::Sealed + Sized + Send {
    /// What the SDK gives.
    type Output: Send + 'static;

    /// What can go wrong.
    type Error: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static;

    /// How the items come.
    type Found<T>;

    #[doc(hidden)]
    fn request(&self) -> Request<'_>;

    /// Takes those items out of an answer that are of the model; `None` is for one that was asked for and is
    /// not there.
    #[doc(hidden)]
    fn take_items(output: &mut Self::Output, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>>;

    #[doc(hidden)]
    fn arrange<T>(found: Vec<Option<T>>) -> Self::Found<T>;
}

/// A request that is sent once.
pub trait ReadOnce: ReadItems {
    #[doc(hidden)]
    fn dispatch(self) -> impl Future<Output = Result<Self::Output, SdkErrorOf<Self>>> + Send;
}

/// A request whose pages are followed.
pub trait ReadPages: ReadItems {
    #[doc(hidden)]
    fn into_pages(self) -> PagesOf<Self>;
}

pub(super) type SdkErrorOf<Q> = SdkError<<Q as ReadItems>::Error>;
pub(super) type PagesOf<Q> = BoxStream<'static, Result<<Q as ReadItems>::Output, SdkErrorOf<Q>>>;

/// A request with pages, as a builder and as a paginator.
macro_rules! paged {
    (
        $builder:ty, $paginator:ty, $output:ty, $error:ty,
        conditions: [$($condition:ident),*], compared: [$($compared:ident),*]
    ) => {
        impl ReadItems for $builder {
            type Output = $output;
            type Error = $error;
            type Found<T> = Vec<T>;

            fn request(&self) -> Request<'_> {
                Request {
                    tables: self.get_table_name().iter().map(String::as_str).collect(),
                    projections: vec![Projection {
                        expression: self.get_projection_expression().as_deref(),
                        names: self.get_expression_attribute_names().as_ref(),
                        attributes: self.get_attributes_to_get().as_deref(),
                    }],
                    wanted: None,
                    meanings: Meanings {
                        names: self.get_expression_attribute_names().as_ref(),
                        values: self.get_expression_attribute_values().as_ref(),
                    },
                    conditions: [$(self.$condition().as_deref()),*].into_iter().flatten().collect(),
                    compared: [$(self.$compared()),*].into_iter().flatten().flatten().map(|(name, _)| name.as_str()).collect(),
                }
            }

            fn take_items(output: &mut $output, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>> {
                take(&mut output.items, is_ours)
            }

            fn arrange<T>(found: Vec<Option<T>>) -> Vec<T> {
                found.into_iter().flatten().collect()
            }
        }

        impl ReadOnce for $builder {
            fn dispatch(self) -> impl Future<Output = Result<$output, SdkErrorOf<Self>>> + Send {
                self.send()
            }
        }

        impl ReadPages for $builder {
            fn into_pages(self) -> PagesOf<Self> {
                self.into_paginator().into_pages()
            }
        }

        // A paginator shows nothing of its request, so nothing can be refused before it is sent: what a
        // projection drops is missed when the items are read.
        impl ReadItems for $paginator {
            type Output = $output;
            type Error = $error;
            type Found<T> = Vec<T>;

            fn request(&self) -> Request<'_> {
                Request::default()
            }

            fn take_items(output: &mut $output, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>> {
                take(&mut output.items, is_ours)
            }

            fn arrange<T>(found: Vec<Option<T>>) -> Vec<T> {
                found.into_iter().flatten().collect()
            }
        }

        impl ReadPages for $paginator {
            fn into_pages(self) -> PagesOf<Self> {
                let pages = |mut pages: aws_smithy_async::future::pagination_stream::PaginationStream<_>| async {
                    let page = pages.next().await?;
                    Some((page, pages))
                };
                stream::unfold(self.send(), pages).boxed()
            }
        }

        impl sealed::Sealed for $builder {}
        impl sealed::Sealed for $paginator {}
    };
}
paged!(
    QueryFluentBuilder, QueryPaginator, QueryOutput, QueryError,
    conditions: [get_key_condition_expression, get_filter_expression],
    compared: [get_key_conditions, get_query_filter]
);
paged!(
    ScanFluentBuilder, ScanPaginator, ScanOutput, ScanError,
    conditions: [get_filter_expression],
    compared: [get_scan_filter]
);

impl ReadItems for GetItemFluentBuilder {
    type Output = GetItemOutput;
    type Error = GetItemError;
    type Found<T> = Option<T>;

    fn request(&self) -> Request<'_> {
        Request {
            tables: self.get_table_name().iter().map(String::as_str).collect(),
            projections: vec![Projection {
                expression: self.get_projection_expression().as_deref(),
                names: self.get_expression_attribute_names().as_ref(),
                attributes: self.get_attributes_to_get().as_deref(),
            }],
            wanted: self.get_key().clone().map(|key| Wanted::InOrder(vec![key])),
            ..Request::default()
        }
    }

    fn take_items(output: &mut GetItemOutput, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>> {
        vec![output.item.take_if(|item| is_ours(item))]
    }

    fn arrange<T>(found: Vec<Option<T>>) -> Option<T> {
        found.into_iter().flatten().next()
    }
}

impl ReadOnce for GetItemFluentBuilder {
    fn dispatch(self) -> impl Future<Output = Result<GetItemOutput, SdkErrorOf<Self>>> + Send {
        self.send()
    }
}

impl ReadItems for BatchGetItemFluentBuilder {
    type Output = BatchGetItemOutput;
    type Error = BatchGetItemError;
    type Found<T> = Vec<T>;

    fn request(&self) -> Request<'_> {
        let parts = || self.get_request_items().iter().flatten();
        let mut tables: Vec<&str> = parts().map(|(table, _)| table.as_str()).collect();
        tables.sort_unstable();
        let projections = parts().map(|(_, part)| Projection {
            expression: part.projection_expression.as_deref(),
            names: part.expression_attribute_names.as_ref(),
            attributes: part.attributes_to_get.as_deref(),
        });
        let keys = parts().flat_map(|(_, part)| part.keys.clone()).collect();
        let (projections, wanted) = (projections.collect(), Some(Wanted::AnyOf(keys)));
        Request { tables, projections, wanted, ..Request::default() }
    }

    fn take_items(output: &mut BatchGetItemOutput, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>> {
        let mut tables: Vec<_> = output.responses.iter_mut().flatten().collect();
        tables.sort_unstable_by_key(|(name, _)| *name);
        let items = tables.into_iter().flat_map(|(_, items)| items.extract_if(.., move |item| is_ours(item)));
        items.map(Some).collect()
    }

    fn arrange<T>(found: Vec<Option<T>>) -> Vec<T> {
        found.into_iter().flatten().collect()
    }
}

impl ReadOnce for BatchGetItemFluentBuilder {
    fn dispatch(self) -> impl Future<Output = Result<BatchGetItemOutput, SdkErrorOf<Self>>> + Send {
        self.send()
    }
}

impl ReadItems for TransactGetItemsFluentBuilder {
    type Output = TransactGetItemsOutput;
    type Error = TransactGetItemsError;
    type Found<T> = Vec<Option<T>>;

    fn request(&self) -> Request<'_> {
        let gets: Vec<_> = self.get_transact_items().iter().flatten().map(|part| part.get.as_ref()).collect();
        let mut tables: Vec<&str> = gets.iter().flatten().map(|get| get.table_name.as_str()).collect();
        tables.sort_unstable();
        tables.dedup();
        let projections = gets.iter().flatten().map(|get| Projection {
            expression: get.projection_expression.as_deref(),
            names: get.expression_attribute_names.as_ref(),
            attributes: None,
        });
        let projections = projections.collect();
        // a part without a get is refused by DynamoDB
        let keys = gets.iter().map(|get| get.map(|get| get.key.clone()).unwrap_or_default());
        let wanted = Some(Wanted::InOrder(keys.collect()));
        Request { tables, projections, wanted, ..Request::default() }
    }

    fn take_items(output: &mut TransactGetItemsOutput, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>> {
        let responses = output.responses.iter_mut().flatten();
        responses.map(|response| response.item.take_if(|item| !item.is_empty() && is_ours(item))).collect()
    }

    fn arrange<T>(found: Vec<Option<T>>) -> Vec<Option<T>> {
        found
    }
}

impl ReadOnce for TransactGetItemsFluentBuilder {
    fn dispatch(self) -> impl Future<Output = Result<TransactGetItemsOutput, SdkErrorOf<Self>>> + Send {
        self.send()
    }
}

/// Takes items out of a page; what stays is not of the model.
fn take(items: &mut Option<Vec<Item>>, is_ours: &dyn Fn(&Item) -> bool) -> Vec<Option<Item>> {
    let found = items.iter_mut().flat_map(|items| items.extract_if(.., move |item| is_ours(item)));
    let found = found.map(Some).collect();
    if items.as_ref().is_some_and(Vec::is_empty) {
        *items = None;
    }
    found
}

mod sealed {
    use super::*;

    pub trait Sealed {}

    impl Sealed for GetItemFluentBuilder {}
    impl Sealed for BatchGetItemFluentBuilder {}
    impl Sealed for TransactGetItemsFluentBuilder {}
}
