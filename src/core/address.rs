//! Networks of IP addresses in CIDR notation, and whether an address lies in one however it is dressed: an IPv6 address
//! that carries an IPv4 address counts as both. Names are resolved, and connections refused, in `wire`.

// Not `std::net`, which opens sockets: these are values.
use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use url::{Host, Url};

use super::shown::shown;

/// A network such as `10.0.0.0/8`, in canonical form: no bit is set beyond the prefix, and a network of IPv4-mapped
/// addresses is the IPv4 network that it maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    /// At most 32 or 128.
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("`{0}` is not an IP address or network")]
    NotANetwork(String),
    #[error("`{text}` has a prefix above {most}")]
    LongPrefix { text: String, most: u8 },
    /// One bit that is set where the prefix says that all do: which of the two is meant cannot be known.
    #[error("`{text}` has bits set beyond its prefix")]
    HostBits { text: String, network: Network },
}

impl NetworkError {
    /// The next thing to do about it.
    pub fn hint(&self) -> String {
        match self {
            NetworkError::NotANetwork(_) | NetworkError::LongPrefix { .. } => {
                "write it as `10.0.0.0/8`, `fe80::/10` or a single address".to_owned()
            }
            NetworkError::HostBits { network, .. } => {
                format!("write `{network}` for the network, or the address without its prefix")
            }
        }
    }
}

/// IPv6 networks whose addresses carry an IPv4 address, and the byte at which it begins.
const CARRIERS: &[(Network, usize)] = &[
    // IPv4-mapped, RFC 4291, 2.5.5.2: the system connects by IPv4.
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), 12),
    // IPv4-compatible, RFC 4291, 2.5.5.1, deprecated. It makes `::` the `0.0.0.0` that it is to the system, too.
    (v6([0; 8], 96), 12),
    // IPv4-translated, RFC 2765, 2.1.
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), 12),
    // NAT64, RFC 6052; its prefix for local use, RFC 8215, as networks of 96 bits divide it.
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), 12),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), 12),
    // 6to4, RFC 3056.
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 2),
];

const fn v6(segments: [u16; 8], prefix: u8) -> Network {
    let [a, b, c, d, e, f, g, h] = segments;
    Network {
        address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        prefix,
    }
}

impl Network {
    /// Reads `ADDRESS/PREFIX`, or an address alone, which is the network of itself.
    ///
    /// # Errors
    /// When it is neither, and when a bit is set beyond the prefix.
    pub fn parse(text: &str) -> Result<Network, NetworkError> {
        let not_a_network = || NetworkError::NotANetwork(shown(text));
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| not_a_network())?;
        let most = width(address);
        let prefix = match prefix {
            None => most,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let prefix = digits.parse().unwrap_or(u8::MAX);
                if prefix > most {
                    let text = shown(text);
                    return Err(NetworkError::LongPrefix { text, most });
                }
                prefix
            }
            Some(_) => return Err(not_a_network()),
        };
        let network = Network::of(address, prefix);
        if network.address != address {
            let text = shown(text);
            return Err(NetworkError::HostBits { text, network });
        }
        Ok(network.unmapped())
    }

    /// Whether `address` lies in it, by itself or by the IPv4 address that it carries: IPv4-mapped, IPv4-compatible,
    /// translated, behind NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`) or 6to4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.holds(address) || carried(address).is_some_and(|inner| self.holds(IpAddr::V4(inner)))
    }

    fn of(address: IpAddr, prefix: u8) -> Network {
        let address = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Network { address, prefix }
    }

    fn unmapped(self) -> Network {
        match (self.address, self.prefix.checked_sub(96)) {
            (IpAddr::V6(address), Some(prefix)) => match address.to_ipv4_mapped() {
                Some(address) => Network {
                    address: IpAddr::V4(address),
                    prefix,
                },
                None => self,
            },
            _ => self,
        }
    }

    /// Of the two families, each lies in its own networks only.
    fn holds(&self, address: IpAddr) -> bool {
        width(address) == width(self.address) && Network::of(address, self.prefix).address == self.address
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The bits of an address of this family.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The IPv4 address within an IPv6 address, if it is of a kind that has one. `::1` looks like one and is not.
fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(inner) = address else {
        return None;
    };
    if inner == Ipv6Addr::LOCALHOST {
        return None;
    }
    let (_, at) = CARRIERS.iter().find(|(network, _)| network.holds(address))?;
    let octets = inner.octets();
    octets[*at..].first_chunk::<4>().map(|four| Ipv4Addr::from(*four))
}

/// Whether the host of `url` is this machine: `localhost`, or a loopback address. What a name below `localhost` leads to
/// is said by the resolver.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests;
