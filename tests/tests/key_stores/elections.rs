//! Many who start at once, in one process.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    on_every_store,
    stores::TestStore,
    support::{TENANT, record},
};

on_every_store!(each_epoch_has_one_winner_and_losers_leave_nothing);

async fn each_epoch_has_one_winner_and_losers_leave_nothing<S: TestStore>() {
    let at = Arc::new(S::new().await);
    let tasks: Vec<_> = (0..8_u16)
        .map(|handle| {
            let at = Arc::clone(&at);
            tokio::spawn(async move {
                let store = at.open().await;
                let mut winners = Vec::new();
                for epoch in 0..4 {
                    let proposal = record(handle * 4 + epoch, TENANT, epoch.into());
                    let winner = store.elect(&proposal).await.unwrap();
                    assert_eq!(store.load(winner.key_id).await.unwrap().as_ref(), Some(&winner));
                    winners.push(winner);
                }
                winners
            })
        })
        .collect();
    let mut of_epoch = BTreeMap::new();
    for task in tasks {
        for winner in task.await.unwrap() {
            assert_eq!(of_epoch.entry(winner.epoch).or_insert(winner.key_id), &winner.key_id);
        }
    }
    let store = at.open().await;
    let listed: Vec<_> = store.list(None, 100).await.unwrap().into_iter().map(|(key_id, _)| key_id).collect();
    let mut winners: Vec<_> = of_epoch.values().copied().collect();
    winners.sort_unstable();
    assert_eq!(listed, winners);
    let active = store.active(&record(0, TENANT, 0).slot).await.unwrap().unwrap();
    assert_eq!(Some(&active.key_id), of_epoch.get(&3));
}
