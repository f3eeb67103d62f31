//! Network interfaces of the host that move into the container.
//!
//! config-linux.md, Network devices: `linux.netDevices` names interfaces of the runtime's network
//! namespace. Each belongs to one namespace at a time; the kernel moves it by one message of
//! rtnetlink(7), which shuts it down and takes its addresses and routes. So the runtime reads the addresses
//! before, gives the permanent ones of global scope back behind, and brings the interface up. Name clashes
//! are an error before anything has moved; a name such as `eth%d` asks the kernel for a free number.
//!
//! Both ends are spoken to through a socket each, for a netlink socket stays with the namespace in
//! which it was opened. The runtime enters the container's network namespace for no longer than that takes.
//!
//! When the container ends the runtime moves nothing back: the kernel returns physical interfaces and
//! destroys virtual ones, as the specification wants it. A `create` that fails is another matter: what it has
//! moved it moves back, before init, whose namespace it is, ends.

pub mod message;
pub mod plan;
pub mod run;
