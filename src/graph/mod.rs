//! The provider's wire: `client` fetches, `page` reads what came, `auth` obtains the tokens to fetch with, `link` knows
//! where they may go, `error` says why there is no page. What a page means, when to poll, and where tokens are kept are not decided here.

pub mod auth;
pub mod client;
mod complaint;
pub mod device;
pub mod error;
pub mod link;
pub mod now;
pub mod page;
