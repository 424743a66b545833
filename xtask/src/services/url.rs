//! The URL of a database that a person gave: where it leads, and how to show it.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use crate::error::{Context, Error, Result};

/// What differs between the URLs of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    Mysql,
}

impl Kind {
    fn schemes(self) -> [&'static str; 2] {
        match self {
            Self::Postgres => ["postgres", "postgresql"],
            Self::Mysql => ["mysql", "mariadb"],
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Tcp(String, u16),
    Socket(PathBuf),
}

#[derive(Debug)]
pub(super) struct Url {
    /// The text before the user, `postgres://`.
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    /// Host, port and path, as written.
    rest: String,
    /// What follows the question mark, without a password.
    query: Vec<String>,
    place: Place,
}

impl Url {
    pub(super) fn parse(kind: Kind, text: &str) -> Result<Self> {
        // the text may hold a password, so no error repeats it
        let (scheme, rest) = text
            .split_once("://")
            .filter(|(scheme, _)| kind.schemes().contains(scheme))
            .ok_or_else(|| {
                let [scheme, _] = kind.schemes();
                Error::new(format!("it does not begin with {scheme}://"))
            })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (user, mut password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            Some(None) => (login, None),
            None => (None, None),
        };
        let (mut host, mut port) = split_address(address)?;
        let mut socket = None;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("password", value)) => {
                    password = Some(value);
                    continue;
                }
                Some(("host" | "hostaddr", value)) => host = value,
                Some(("port", value)) => port = Some(value),
                Some(("socket", value)) if kind == Kind::Mysql => socket = Some(decode(value)),
                _ => {}
            }
            kept.push(pair.to_owned());
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| Error::new("its port is not a number"))?,
            None => kind.port(),
        };
        Ok(Self {
            scheme: format!("{scheme}://"),
            user: user.map(str::to_owned),
            password: password.map(decode),
            rest: format!("{address}{path}"),
            query: kept,
            place: match socket {
                Some(path) => Place::Socket(path.into()),
                None => place(kind, &decode(host), port),
            },
        })
    }

    /// The URL as it may be shown.
    pub(super) fn redacted(&self) -> String {
        self.render(if self.password.is_some() { ":***" } else { "" })
    }

    pub(super) fn without_password(&self) -> String {
        self.render("")
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    fn render(&self, password: &str) -> String {
        let login = match &self.user {
            Some(user) => format!("{user}{password}@"),
            None => String::new(),
        };
        let mark = if self.query.is_empty() { "" } else { "?" };
        let query = self.query.join("&");
        format!("{}{login}{}{mark}{query}", self.scheme, self.rest)
    }

    /// Connects, and closes the connection again.
    pub(super) fn reach(&self) -> Result<()> {
        match &self.place {
            Place::Socket(path) => {
                UnixStream::connect(path).context(path.display())?;
            }
            Place::Tcp(host, port) => {
                let doing = format!("connecting to {host} port {port}");
                let mut addresses = (host.as_str(), *port).to_socket_addrs().context(&doing)?;
                let mut outcome = Err(Error::new(format!("{doing}: no address")));
                // localhost may be two addresses, only one of which is listened on
                while outcome.is_err()
                    && let Some(address) = addresses.next()
                {
                    outcome = TcpStream::connect_timeout(&address, Duration::from_secs(5))
                        .map(drop)
                        .context(&doing);
                }
                outcome?;
            }
        }
        Ok(())
    }
}

/// `host`, `host:port`, `[address]:port`
fn split_address(address: &str) -> Result<(&str, Option<&str>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) =
            rest.split_once(']').ok_or_else(|| Error::new("its address has no closing bracket"))?;
        return Ok((host, port.strip_prefix(':')));
    }
    Ok(match address.split_once(':') {
        Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
        None => (address, None),
    })
}

fn place(kind: Kind, host: &str, port: u16) -> Place {
    if host.starts_with('/') && kind == Kind::Postgres {
        Place::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
    } else if host.is_empty() {
        Place::Tcp("localhost".to_owned(), port)
    } else {
        Place::Tcp(host.to_owned(), port)
    }
}

/// Percent-decoding; what is not a valid escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp(host.to_owned(), port)
    }

    #[test]
    fn places() {
        for (text, expected) in [
            ("postgres://u:p@db.example:5433/x", tcp("db.example", 5433)),
            ("postgresql://db.example/x", tcp("db.example", 5432)),
            ("postgres://u@[::1]:5433/x", tcp("::1", 5433)),
            ("postgres://[::1]/x", tcp("::1", 5432)),
            ("postgres:///x", tcp("localhost", 5432)),
            ("postgres://u:a@b@h/x", tcp("h", 5432)),
            ("postgres://h/x?port=6000&sslmode=disable", tcp("h", 6000)),
            ("postgres://%2Fvar%2Frun:5433/x", Place::Socket("/var/run/.s.PGSQL.5433".into())),
            ("postgres:///x?host=/var/run", Place::Socket("/var/run/.s.PGSQL.5432".into())),
        ] {
            assert_eq!(Url::parse(Kind::Postgres, text).unwrap().place, expected, "{text}");
        }
    }

    #[test]
    fn places_of_mysql() {
        for (text, expected) in [
            ("mysql://u:p@db.example:3307/x", tcp("db.example", 3307)),
            ("mariadb://db.example/x", tcp("db.example", 3306)),
            ("mysql://u@localhost/x?socket=%2Frun%2Fmysqld.sock", Place::Socket("/run/mysqld.sock".into())),
        ] {
            assert_eq!(Url::parse(Kind::Mysql, text).unwrap().place, expected, "{text}");
        }
        assert!(Url::parse(Kind::Mysql, "postgres://u:p@h/x").is_err());
    }

    #[test]
    fn passwords_are_taken_out() {
        for (text, redacted, bare) in [
            (
                "postgres://u:s%40cret@h:1/x?sslmode=disable",
                "postgres://u:***@h:1/x?sslmode=disable",
                "postgres://u@h:1/x?sslmode=disable",
            ),
            (
                "postgres://u@h/x?password=s%40cret&port=2",
                "postgres://u:***@h/x?port=2",
                "postgres://u@h/x?port=2",
            ),
        ] {
            let url = Url::parse(Kind::Postgres, text).unwrap();
            assert_eq!(url.password(), Some("s@cret"));
            assert_eq!(url.redacted(), redacted);
            assert_eq!(url.without_password(), bare);
        }
        let url = Url::parse(Kind::Postgres, "postgres://u@h/x").unwrap();
        assert_eq!((url.password(), url.redacted()), (None, "postgres://u@h/x".to_owned()));
    }

    #[test]
    fn an_error_does_not_show_the_password() {
        for text in ["mysql://u:secret@h/x", "secret", "postgres://u:secret@h:port/x"] {
            let error = Url::parse(Kind::Postgres, text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(decode("a%2Fb%zz%4"), "a/b%zz%4");
    }

    #[test]
    fn a_port_nobody_listens_on_is_not_reached() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(Kind::Postgres, &format!("postgres://u:p@127.0.0.1:{port}/x")).unwrap();
        assert!(url.reach().is_ok());
        drop(listener);
        let error = url.reach().unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
    }
}
