//! `time`.

use time::{
    Date, OffsetDateTime, PrimitiveDateTime, Time, UtcDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

use super::{dated, split_nanos};
use crate::value::encoding::{self, joined};

/// 1970-01-01 as a Julian day.
const EPOCH: i32 = 2_440_588;

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[hour]:[minute]:[second][optional [.[subsecond]]]");
const LOCAL: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second][optional [.[subsecond]]]");

fn date(days: i32) -> Option<Date> {
    Date::from_julian_day(days.checked_add(EPOCH)?).ok()
}

fn date_bytes(date: Date) -> Option<[u8; 4]> {
    Some(date.to_julian_day().checked_sub(EPOCH)?.to_be_bytes())
}

fn time(nanos: u64) -> Option<Time> {
    let (seconds, nanos) = split_nanos(nanos)?;
    let part = |number: u32| u8::try_from(number).ok();
    Time::from_hms_nano(part(seconds / 3_600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, nanos).ok()
}

fn time_bytes(time: Time) -> [u8; 8] {
    let (hour, minute, second, nanos) = time.as_hms_nano();
    let seconds = u64::from(hour) * 3_600 + u64::from(minute) * 60 + u64::from(second);
    (seconds * 1_000_000_000 + u64::from(nanos)).to_be_bytes()
}

fn instant((seconds, nanos): (i64, u32)) -> Option<UtcDateTime> {
    UtcDateTime::from_unix_timestamp(seconds).ok()?.replace_nanosecond(nanos).ok()
}

fn instant_bytes(at: UtcDateTime) -> [u8; 12] {
    joined(at.unix_timestamp().to_be_bytes(), at.nanosecond().to_be_bytes())
}

dated!(
    Date,
    DATE,
    encoding::DATE,
    date,
    date_bytes,
    |text: &str| Date::parse(text, DATE).ok(),
    |date: Date| date.format(DATE).ok(),
);

dated!(
    Time,
    TIME,
    encoding::TIME,
    time,
    |time| Some(time_bytes(time)),
    |text: &str| Time::parse(text, TIME).ok(),
    |time: Time| time.format(TIME).ok(),
);

dated!(
    PrimitiveDateTime,
    LOCAL_DATE_TIME,
    encoding::LOCAL_DATE_TIME,
    |(days, nanos)| Some(PrimitiveDateTime::new(date(days)?, time(nanos)?)),
    |at: PrimitiveDateTime| -> Option<[u8; 12]> {
        Some(joined(date_bytes(at.date())?, time_bytes(at.time())))
    },
    |text: &str| PrimitiveDateTime::parse(&text.replacen('T', " ", 1), LOCAL).ok(),
    |at: PrimitiveDateTime| at.format(LOCAL).ok(),
);

dated!(
    UtcDateTime,
    INSTANT,
    encoding::INSTANT,
    instant,
    |at| Some(instant_bytes(at)),
    |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok().map(|at| at.to_utc()),
    |at: UtcDateTime| OffsetDateTime::from(at).format(&Rfc3339).ok(),
);

dated!(
    OffsetDateTime,
    ZONED,
    encoding::ZONED,
    |(at, offset)| instant(at)?.checked_to_offset(UtcOffset::from_whole_seconds(offset).ok()?),
    |at: OffsetDateTime| -> Option<[u8; 16]> {
        Some(joined(instant_bytes(at.to_utc()), at.offset().whole_seconds().to_be_bytes()))
    },
    |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok(),
    |at: OffsetDateTime| at.format(&Rfc3339).ok(),
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
        fn every_value_comes_back(days in -700_000_i32..700_000, nanos in 0_u64..86_400_000_000_000, minutes in -1_439_i32..1_440) {
            let (day, clock) = (date(days).unwrap(), time(nanos).unwrap());
            let local = PrimitiveDateTime::new(day, clock);
            round_trip(day);
            round_trip(clock);
            round_trip(local);
            round_trip(local.as_utc());
            let offset = UtcOffset::from_whole_seconds(minutes * 60).unwrap();
            round_trip(OffsetDateTime::from(local.as_utc()).to_offset(offset));
        }
    }

    #[test]
    fn what_lies_beyond_the_ends_of_time_is_an_error() {
        assert!(Date::decode(&i32::MAX.to_be_bytes()).is_err());
        assert!(UtcDateTime::decode(&joined::<8, 4, 12>(i64::MAX.to_be_bytes(), [0; 4])).is_err());
        assert_eq!(Encrypted::from_value(Date::MAX).unwrap().expose().unwrap(), Date::MAX);
    }
}
