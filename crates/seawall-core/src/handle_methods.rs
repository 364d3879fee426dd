//! What the handle of every layer would otherwise write again.

/// Writes the methods of [`InstanceHandle`](crate::InstanceHandle) that are alike everywhere, in an
/// impl of it: `pattern`, `name` (by the method `name` of the handle), `state`, and those that are
/// listed.
///
/// `attach` names the event source. `commands` lists what the handle can do, and with which of its
/// own methods, each of which [emits](crate::EventSource::commanded) that it was given; it is
/// [`Unsupported`](crate::Unsupported) to ask it for anything else. A method that takes an argument gets it
/// there: `ShadowOn => set_shadow(true)`.
/// `handle_methods!(|this| inner: this.handle)` writes everything but `settings`, by another handle.
///
/// ```
/// use seawall_core::{Command, EventSource, InstanceHandle, InstanceName, Samples};
///
/// struct DoorHandle { source: EventSource }
///
/// impl DoorHandle {
///     fn name(&self) -> InstanceName { self.source.name() }
///     fn lock(&self) { self.source.commanded("lock"); }
/// }
///
/// impl InstanceHandle for DoorHandle {
///     seawall_core::handle_methods! { |this|
///         pattern: "door",
///         state: "open",
///         attach: this.source,
///         commands: [Block => lock],
///     }
///
///     fn samples(&self, _: &mut Samples<'_>) {}
///
///     fn settings(&self) -> Vec<(&'static str, String)> { Vec::new() }
/// }
///
/// let handle = DoorHandle { source: EventSource::new("door", "front") };
/// assert!(handle.control(Command::Block).is_ok());
/// assert_eq!(handle.commands(), [Command::Block]);
/// let unsupported = handle.control(Command::Bypass).unwrap_err();
/// assert_eq!(unsupported.to_string(), "`door` has no command `bypass`");
/// ```
#[macro_export]
macro_rules! handle_methods {
    (|$this:ident| inner: $inner:expr) => {
        fn pattern(&self) -> &'static str {
            let $this = self;
            $inner.pattern()
        }

        fn name(&self) -> $crate::InstanceName {
            Self::name(self)
        }

        fn state(&self) -> &'static str {
            let $this = self;
            $inner.state()
        }

        fn samples(&self, sink: &mut $crate::Samples<'_>) {
            let $this = self;
            $inner.samples(sink);
        }

        fn misconfigured(&self) -> Vec<$crate::Misconfiguration> {
            let $this = self;
            $inner.misconfigured()
        }

        fn last_rejection(&self) -> Option<$crate::LastRejection> {
            let $this = self;
            $inner.last_rejection()
        }

        fn attach(&self, events: &$crate::Events) {
            let $this = self;
            $inner.attach(events);
        }

        fn operated(&self) -> Option<$crate::Operated> {
            let $this = self;
            $inner.operated()
        }

        fn commands(&self) -> &'static [$crate::Command] {
            let $this = self;
            $inner.commands()
        }

        fn control(&self, command: $crate::Command) -> Result<(), $crate::Unsupported> {
            let $this = self;
            $inner.control(command)
        }
    };
    (
        |$this:ident|
        pattern: $pattern:expr,
        state: $state:expr,
        $(attach: $source:expr,)?
        $(commands: [$($Command:ident => $method:ident $(($argument:expr))?),+ $(,)?],)?
    ) => {
        fn pattern(&self) -> &'static str {
            let $this = self;
            $pattern
        }

        fn name(&self) -> $crate::InstanceName {
            Self::name(self)
        }

        fn state(&self) -> &'static str {
            let $this = self;
            $state
        }

        $(
            fn attach(&self, events: &$crate::Events) {
                let $this = self;
                // The first registry stays the one that is notified.
                $source.attach(events);
            }

            fn misconfigured(&self) -> Vec<$crate::Misconfiguration> {
                let $this = self;
                $source.misconfigured()
            }

            fn operated(&self) -> Option<$crate::Operated> {
                let $this = self;
                Some($source.operated())
            }
        )?

        $(
            fn commands(&self) -> &'static [$crate::Command] {
                &[$($crate::Command::$Command),+]
            }

            fn control(&self, command: $crate::Command) -> Result<(), $crate::Unsupported> {
                match command {
                    $($crate::Command::$Command => self.$method($($argument)?),)+
                    command => {
                        let pattern = $crate::InstanceHandle::pattern(self);
                        return Err($crate::Unsupported::new(pattern, command));
                    }
                }
                Ok(())
            }
        )?
    };
}
