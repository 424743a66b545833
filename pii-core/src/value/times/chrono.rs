//! `chrono`.

use chrono::{
    DateTime, Datelike as _, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, Timelike as _,
    Utc,
};

use super::{dated, split_nanos};
use crate::value::encoding::{self, NANOS_PER_SECOND, joined};

/// 1970-01-01 in the days of `Datelike`.
const EPOCH: i32 = 719_163;

fn date(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH)?)
}

fn date_bytes(date: NaiveDate) -> Option<[u8; 4]> {
    Some(date.num_days_from_ce().checked_sub(EPOCH)?.to_be_bytes())
}

fn time(nanos: u64) -> Option<NaiveTime> {
    let (seconds, nanos) = split_nanos(nanos)?;
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos)
}

fn time_bytes(time: NaiveTime) -> Option<[u8; 8]> {
    let seconds = u64::from(time.num_seconds_from_midnight());
    let nanos = u64::from(time.nanosecond());
    (nanos < u64::from(NANOS_PER_SECOND)).then(|| (seconds * 1_000_000_000 + nanos).to_be_bytes())
}

fn instant<Z: chrono::TimeZone>(at: &DateTime<Z>) -> Option<[u8; 12]> {
    let nanos = at.timestamp_subsec_nanos();
    (nanos < NANOS_PER_SECOND).then(|| joined(at.timestamp().to_be_bytes(), nanos.to_be_bytes()))
}

dated!(
    NaiveDate,
    DATE,
    encoding::DATE,
    date,
    date_bytes,
    |text: &str| text.parse().ok(),
    |date: NaiveDate| Some(date.to_string()),
);

dated!(
    NaiveTime,
    TIME,
    encoding::TIME,
    time,
    time_bytes,
    |text: &str| text.parse().ok(),
    |time: NaiveTime| Some(time.to_string()),
);

dated!(
    NaiveDateTime,
    LOCAL_DATE_TIME,
    encoding::LOCAL_DATE_TIME,
    |(days, nanos)| Some(date(days)?.and_time(time(nanos)?)),
    |at: NaiveDateTime| -> Option<[u8; 12]> { Some(joined(date_bytes(at.date())?, time_bytes(at.time())?)) },
    // as databases print it, with a space
    |text: &str| text.replacen(' ', "T", 1).parse().ok(),
    |at: NaiveDateTime| Some(at.to_string()),
);

dated!(
    DateTime<Utc>,
    INSTANT,
    encoding::INSTANT,
    |(seconds, nanos)| DateTime::from_timestamp(seconds, nanos),
    |at: DateTime<Utc>| instant(&at),
    |text: &str| text.parse().ok(),
    |at: DateTime<Utc>| Some(at.to_rfc3339()),
);

dated!(
    DateTime<FixedOffset>,
    ZONED,
    encoding::ZONED,
    |((seconds, nanos), offset)| {
        let at = DateTime::from_timestamp(seconds, nanos)?;
        // local times near the ends of chrono's years don't exist
        at.naive_utc().checked_add_offset(FixedOffset::east_opt(offset)?)?;
        Some(at.with_timezone(&FixedOffset::east_opt(offset)?))
    },
    |at: DateTime<FixedOffset>| -> Option<[u8; 16]> {
        Some(joined(instant(&at)?, at.offset().fix().local_minus_utc().to_be_bytes()))
    },
    |text: &str| text.parse().ok(),
    |at: DateTime<FixedOffset>| Some(at.to_rfc3339()),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use chrono::Days;

    use super::*;
    use crate::{Encrypted, PiiValue};

    fn round_trip<T>(value: T)
    where
        T: Copy + PartialEq + std::fmt::Debug + for<'a> PiiValue<Exposed<'a> = T>,
    {
        assert_eq!(Encrypted::from_value(value).unwrap().expose().unwrap(), value);
        let bytes = value.encode().unwrap();
        let text = T::to_plaintext(bytes.expose()).unwrap();
        let again = T::from_plaintext(std::str::from_utf8(text.expose()).unwrap()).unwrap();
        assert!(again.constant_time_eq(&bytes), "{value:?}");
    }

    proptest! {
        #[test]
        fn every_value_comes_back(days in -700_000_i32..700_000, nanos in 0_u64..86_400_000_000_000, offset in -86_399_i32..86_400) {
            let (day, clock) = (date(days).unwrap(), time(nanos).unwrap());
            let local = day.and_time(clock);
            round_trip(day);
            round_trip(clock);
            round_trip(local);
            round_trip(local.and_utc());
            round_trip(local.and_utc().with_timezone(&FixedOffset::east_opt(offset / 60 * 60).unwrap()));
        }
    }

    #[test]
    fn the_first_day_is_1970() {
        assert_eq!(date_bytes(NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()), Some([0; 4]));
        assert_eq!(date(-1), NaiveDate::from_ymd_opt(1969, 12, 31));
    }

    #[test]
    fn the_ends_of_time_come_back_and_what_lies_beyond_is_an_error() {
        round_trip_bytes(NaiveDate::MIN);
        round_trip_bytes(NaiveDate::MAX);
        assert_eq!(NaiveDate::MAX.checked_add_days(Days::new(1)), None);
        assert!(NaiveDate::decode(&i32::MAX.to_be_bytes()).is_err());
        assert!(NaiveDate::check(&i32::MAX.to_be_bytes()));
        assert!(<DateTime<Utc>>::decode(&joined::<8, 4, 12>(i64::MAX.to_be_bytes(), [0; 4])).is_err());
        let end: [u8; 16] = joined(instant(&DateTime::<Utc>::MAX_UTC).unwrap(), 3_600_i32.to_be_bytes());
        assert!(<DateTime<FixedOffset>>::decode(&end).is_err());
    }

    fn round_trip_bytes(date: NaiveDate) {
        assert_eq!(Encrypted::from_value(date).unwrap().expose().unwrap(), date);
    }

    #[test]
    fn a_leap_second_is_refused() {
        let leap = NaiveTime::from_hms_milli_opt(23, 59, 59, 1_500).unwrap();
        assert!(Encrypted::from_value(leap).is_err());
    }
}
