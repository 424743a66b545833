//! `jiff`. A `Zoned` has the name of its zone, for which the format has no place: seal its timestamp, or the
//! whole as JSON.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time, date as ymd},
};

use super::{dated, split_nanos};
use crate::value::encoding::{self, joined};

const EPOCH: Date = ymd(1970, 1, 1);

fn date(days: i32) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn date_bytes(date: Date) -> Option<[u8; 4]> {
    let days = EPOCH.until((jiff::Unit::Day, date)).ok()?.get_days();
    Some(days.to_be_bytes())
}

fn time(nanos: u64) -> Option<Time> {
    let (seconds, nanos) = split_nanos(nanos)?;
    let part = |number: u32| i8::try_from(number).ok();
    let nanos = i32::try_from(nanos).ok()?;
    Time::new(part(seconds / 3_600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, nanos).ok()
}

fn time_bytes(time: Time) -> Option<[u8; 8]> {
    let part = |number: i64| u64::try_from(number).ok();
    let (hour, minute) = (part(time.hour().into())?, part(time.minute().into())?);
    let seconds = hour * 3_600 + minute * 60 + part(time.second().into())?;
    Some((seconds * 1_000_000_000 + part(time.subsec_nanosecond().into())?).to_be_bytes())
}

dated!(Date, DATE, encoding::DATE, date, date_bytes, |text: &str| text.parse().ok(), |date: Date| Some(
    date.to_string()
),);

dated!(Time, TIME, encoding::TIME, time, time_bytes, |text: &str| text.parse().ok(), |time: Time| Some(
    time.to_string()
),);

dated!(
    DateTime,
    LOCAL_DATE_TIME,
    encoding::LOCAL_DATE_TIME,
    |(days, nanos)| Some(date(days)?.to_datetime(time(nanos)?)),
    |at: DateTime| -> Option<[u8; 12]> { Some(joined(date_bytes(at.date())?, time_bytes(at.time())?)) },
    |text: &str| text.parse().ok(),
    |at: DateTime| Some(at.to_string()),
);

dated!(
    Timestamp,
    INSTANT,
    encoding::INSTANT,
    |(seconds, nanos)| Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok(),
    |at: Timestamp| -> Option<[u8; 12]> {
        // jiff counts nanoseconds away from zero, the format forward
        let nanos = at.as_nanosecond();
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
        let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        Some(joined(seconds.to_be_bytes(), nanos.to_be_bytes()))
    },
    |text: &str| text.parse().ok(),
    |at: Timestamp| Some(at.to_string()),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        fn every_value_comes_back(days in -700_000_i32..700_000, nanos in 0_u64..86_400_000_000_000, at in -100_000_000_000_000_000_000_i128..100_000_000_000_000_000_000) {
            let (day, clock) = (date(days).unwrap(), time(nanos).unwrap());
            round_trip(day);
            round_trip(clock);
            round_trip(day.to_datetime(clock));
            round_trip(Timestamp::from_nanosecond(at).unwrap());
        }
    }

    #[test]
    fn the_ends_of_time_come_back_and_what_lies_beyond_is_an_error() {
        round_trip(Date::MIN);
        round_trip(Date::MAX);
        round_trip(Timestamp::MIN);
        round_trip(Timestamp::MAX);
        assert!(Date::decode(&i32::MAX.to_be_bytes()).is_err());
        assert!(Timestamp::decode(&joined::<8, 4, 12>(i64::MAX.to_be_bytes(), [0; 4])).is_err());
    }
}
