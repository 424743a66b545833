//! Key services that are away, throttled, or refuse: at the start, in the middle, and while keys are kept.

use super::{key_support::*, *};

type Service = FailingKeyring<TestKeyring>;

fn service() -> Service {
    FailingKeyring::new(TestKeyring::new())
}

fn process(service: &Service, clock: &Clock) -> Cryptor {
    by_clock(service.clone(), clock).build().unwrap()
}

/// The rows as they load: sealed, whatever the key service does.
async fn load(cryptor: &Cryptor, rows: &mut [Customer]) {
    for result in cryptor.open_each(rows, &FieldSelection::Nothing).await.unwrap() {
        result.unwrap();
    }
    rows.iter().for_each(assert_all_sealed);
}

#[tokio::test]
async fn without_the_service_at_the_start_rows_load_and_do_not_open() {
    let (service, clock) = (service(), Clock::new());
    let mut written = tenants(3);
    process(&service, &clock).seal(&mut written).await.unwrap();
    for kind in
        [ErrorKind::KeyUnavailable, ErrorKind::KeyThrottled, ErrorKind::KeyDenied, ErrorKind::KeyDisabled]
    {
        let mut rows = all_stored(&written);
        let cryptor = process(&service, &clock);
        service.fail_with(kind);
        load(&cryptor, &mut rows).await;
        let results = cryptor.open_each(&mut rows, &FieldSelection::All).await.unwrap();
        for (result, row) in results.iter().zip(&rows) {
            let error = result.as_ref().unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (kind, Some("email")));
            assert!(error.key_id().is_some(), "{error:?}");
            assert_all_sealed(row);
        }
        assert_eq!(cryptor.seal(&mut [ada()]).await.unwrap_err().kind(), kind);
        // what was loaded can be written back
        assert!(cryptor.sealed(&rows[0]).await.is_ok());
        service.recover();
        clock.advance(Duration::from_secs(2));
        cryptor.open(&mut rows).await.unwrap();
        cryptor.seal(&mut [ada()]).await.unwrap();
    }
}

#[tokio::test]
async fn in_the_middle_of_a_page_the_rows_whose_keys_are_kept_open() {
    let (service, clock) = (service(), Clock::new());
    let mut written = tenants(20);
    process(&service, &clock).seal(&mut written).await.unwrap();
    let cryptor = process(&service, &clock);
    let mut rows = all_stored(&written);
    cryptor.open(&mut all_stored(&written)[..10]).await.unwrap();
    service.fail_with(ErrorKind::KeyUnavailable);
    load(&cryptor, &mut rows).await;
    let results = cryptor.open_each(&mut rows, &FieldSelection::All).await.unwrap();
    for (number, (result, row)) in results.iter().zip(&rows).enumerate() {
        assert_eq!(result.is_ok(), number < 10);
        match number < 10 {
            true => assert_eq!(row.email.expose().unwrap(), "ada@example.com"),
            false => assert_all_sealed(row),
        }
    }
    assert_eq!(cryptor.open(&mut all_stored(&written)).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    service.recover();
    cryptor.open(&mut rows).await.unwrap();
}

/// Half of a batch without keys: nothing of it is sealed.
#[tokio::test]
async fn in_the_middle_of_a_batch_nothing_is_written() {
    let (service, clock) = (service(), Clock::new());
    let cryptor = process(&service, &clock);
    cryptor.seal(&mut tenants(10)).await.unwrap();
    service.fail_with(ErrorKind::KeyThrottled);
    let mut rows = tenants(20);
    assert_eq!(cryptor.seal(&mut rows).await.unwrap_err().kind(), ErrorKind::KeyThrottled);
    assert!(rows.iter().all(|row| row.email.state() == ValueState::Plain));
    assert!(cryptor.seal_texts(&rows).await.is_err());
    cryptor.seal(&mut rows[..10]).await.unwrap();
}

#[tokio::test]
async fn kept_keys_are_used_for_their_age_and_grace_and_no_longer() {
    for kind in [ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable] {
        let (service, clock) = (service(), Clock::new());
        let cryptor = process(&service, &clock);
        let row = sealed(&cryptor).await.unwrap();
        opens(&cryptor, &row).await.unwrap();
        service.fail_with(kind);
        // past the time of the refresh, past the age, and at the end of the grace
        for (seconds, in_grace) in [(290, 0), (170, 2), (100, 2)] {
            clock.advance(Duration::from_secs(seconds));
            let before = service.calls();
            for _ in 0..5 {
                let later = sealed(&cryptor).await.unwrap();
                assert_eq!(key_of(&later), key_of(&row));
                opens(&cryptor, &row).await.unwrap();
            }
            assert!(service.calls() - before <= 2, "the service is left alone between attempts");
            let kept = cryptor.status().keys;
            assert_eq!(kept.iter().filter(|key| key.is_in_grace).count(), in_grace);
        }
        assert!(cryptor.stats().grace_uses >= 20);
        clock.advance(MINUTE);
        assert_eq!(sealed(&cryptor).await.unwrap_err().kind(), kind);
        assert_eq!(refusal(&cryptor, &row).await, kind);
        service.recover();
        opens(&cryptor, &row).await.unwrap();
        sealed(&cryptor).await.unwrap();
    }
}

#[tokio::test]
async fn ten_seconds_of_throttling_stop_nobody_who_has_keys() {
    let (service, clock) = (service(), Clock::new());
    let cryptor = process(&service, &clock);
    let mut written = tenants(10);
    cryptor.seal(&mut written).await.unwrap();
    cryptor.open(&mut all_stored(&written)).await.unwrap();
    clock.advance(AGE - Duration::from_secs(5));
    service.fail_with(ErrorKind::KeyThrottled);
    let before = service.calls();
    for _ in 0..100 {
        clock.advance(Duration::from_millis(100));
        cryptor.seal(&mut tenants(10)).await.unwrap();
        cryptor.open(&mut all_stored(&written)).await.unwrap();
    }
    // 20 keys, each of which is asked for every five seconds
    assert!(service.calls() - before <= 20 * 4, "{}", service.calls() - before);
    // who has no keys gets an error that says: try again
    let fresh = process(&service, &clock);
    let error = fresh.open(&mut all_stored(&written)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    service.recover();
    fresh.open(&mut all_stored(&written)).await.unwrap();
    clock.advance(Duration::from_secs(6));
    cryptor.seal(&mut tenants(10)).await.unwrap();
    cryptor.open(&mut all_stored(&written)).await.unwrap();
    assert!(cryptor.status().keys.iter().all(|key| !key.is_in_grace), "{}", cryptor.status());
}

#[tokio::test]
async fn a_key_that_is_disabled_or_denied_is_gone_at_the_next_refresh_and_has_no_grace() {
    for kind in [ErrorKind::KeyDisabled, ErrorKind::KeyDenied] {
        for at in [AGE - Duration::from_secs(1), AGE] {
            let (service, clock) = (service(), Clock::new());
            let cryptor = process(&service, &clock);
            let row = sealed(&cryptor).await.unwrap();
            opens(&cryptor, &row).await.unwrap();
            service.fail_with(kind);
            opens(&cryptor, &row).await.unwrap();
            clock.advance(at);
            assert_eq!(refusal(&cryptor, &row).await, kind);
            assert_eq!(sealed(&cryptor).await.unwrap_err().kind(), kind);
            assert!(cryptor.status().keys.is_empty(), "{}", cryptor.status());
            let calls = service.calls();
            assert_eq!(refusal(&cryptor, &row).await, kind);
            assert_eq!((service.calls(), cryptor.stats().negative_hits), (calls, 1), "it is not asked again");
            // an outage does not bring it back
            clock.advance(Duration::from_secs(2));
            service.fail_with(ErrorKind::KeyUnavailable);
            assert_eq!(refusal(&cryptor, &row).await, ErrorKind::KeyUnavailable);
            service.recover();
            opens(&cryptor, &row).await.unwrap();
        }
    }
}
