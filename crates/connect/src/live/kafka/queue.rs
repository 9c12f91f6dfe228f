//! What librdkafka has fetched, one event after the other, without a copy and without an allocation a record: the safe
//! face of its event queue. `rdkafka`'s own `poll` says of the end of a partition neither topic nor offset.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

/// The queue of a consumer.
pub(super) struct Queue {
    queue: NonNull<native::rd_kafka_queue_t>,
    /// Lives as long as its queue.
    _consumer: Arc<BaseConsumer>,
}

#[expect(
    unsafe_code,
    reason = "librdkafka's queues may be used from any thread"
)]
// SAFETY: see the reason above.
unsafe impl Send for Queue {}

/// A record, as long as its event lives.
pub(super) struct Message<'a> {
    /// Tells records of one topic from those of another, within one call of [`Queue::next`] after the other, without
    /// looking at names.
    pub topic_id: usize,
    pub topic: &'a dyn Fn() -> String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Something that came.
pub(super) enum Event {
    /// Records were visited.
    Messages,
    /// The end of a partition, for now: the offset of the next record.
    End(String, i32, i64),
    /// A partition cannot be read.
    Failed {
        topic: String,
        partition: i32,
        code: RDKafkaErrorCode,
        message: String,
    },
    /// Said by librdkafka: an error of the connection (as in `Failed`, without a partition), or a line of its log.
    Said(String),
    /// Nothing to be told.
    Other,
}

impl Queue {
    /// The queue of `consumer`.
    pub(super) fn of(consumer: &Arc<BaseConsumer>) -> Option<Self> {
        #[expect(
            unsafe_code,
            reason = "the queue is given back in drop, before the consumer"
        )]
        // SAFETY: see the reason above.
        let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Some(Self {
            queue: NonNull::new(queue)?,
            _consumer: Arc::clone(consumer),
        })
    }

    /// The next event within `wait`; records are shown to `visit`.
    #[expect(
        unsafe_code,
        reason = "an event is destroyed once, when everything that points into it is gone; pointers and lengths are \
                  librdkafka's own"
    )]
    pub(super) fn next(
        &mut self,
        wait: Duration,
        mut visit: impl FnMut(Message<'_>),
    ) -> Option<Event> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: see the reason above; here and below.
        let event = unsafe { native::rd_kafka_queue_poll(self.queue.as_ptr(), millis) };
        let event = Guard(NonNull::new(event)?);
        let kind = unsafe { native::rd_kafka_event_type(event.0.as_ptr()) };
        Some(match kind {
            native::RD_KAFKA_EVENT_FETCH => {
                let mut told = Event::Messages;
                while let Some(message) = NonNull::new(
                    unsafe { native::rd_kafka_event_message_next(event.0.as_ptr()) }.cast_mut(),
                ) {
                    let message = unsafe { message.as_ref() };
                    if let Some(failed) = unsafe { show(message, &mut visit) } {
                        told = failed;
                    }
                }
                told
            }
            native::RD_KAFKA_EVENT_ERROR => unsafe { event.error() },
            native::RD_KAFKA_EVENT_LOG => unsafe { event.log() },
            _ => Event::Other,
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "it is ours, and not used any more")]
        // SAFETY: see the reason above.
        unsafe {
            native::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// An event that is destroyed at the end.
struct Guard(NonNull<native::rd_kafka_event_t>);

impl Drop for Guard {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "it is ours, and not used any more")]
        // SAFETY: see the reason above.
        unsafe {
            native::rd_kafka_event_destroy(self.0.as_ptr());
        }
    }
}

#[expect(unsafe_code, reason = "called with live events only")]
impl Guard {
    /// An error: of a partition, or of the whole client.
    unsafe fn error(&self) -> Event {
        let event = self.0.as_ptr();
        // SAFETY: the event lives; what it points to does, too.
        unsafe {
            let code = native::rd_kafka_event_error(event);
            let message = text(native::rd_kafka_event_error_string(event));
            let Some(partition) = NonNull::new(native::rd_kafka_event_topic_partition(event))
            else {
                return Event::Said(message);
            };
            let place = partition.as_ref();
            let (topic, number, offset) = (text(place.topic), place.partition, place.offset);
            native::rd_kafka_topic_partition_destroy(partition.as_ptr());
            if code == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                return Event::End(topic, number, offset);
            }
            Event::Failed {
                topic,
                partition: number,
                code: code.into(),
                message,
            }
        }
    }

    unsafe fn log(&self) -> Event {
        let mut facility: *const c_char = std::ptr::null();
        let mut line: *const c_char = std::ptr::null();
        let mut level = 0;
        // SAFETY: the event lives; what it points to does, too.
        unsafe {
            let event = self.0.as_ptr();
            match native::rd_kafka_event_log(event, &mut facility, &mut line, &mut level) {
                0 => Event::Said(text(line)),
                _ => Event::Other,
            }
        }
    }
}

/// A text of C.
#[expect(
    unsafe_code,
    reason = "called with texts that end in a zero, or with null"
)]
unsafe fn text(pointer: *const c_char) -> String {
    match pointer.is_null() {
        true => String::new(),
        // SAFETY: see the reason above.
        false => unsafe { CStr::from_ptr(pointer) }
            .to_string_lossy()
            .into_owned(),
    }
}

#[expect(
    unsafe_code,
    reason = "called with bytes that live as long as the result"
)]
unsafe fn bytes<'a>(pointer: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    match pointer.is_null() {
        true => None,
        // SAFETY: see the reason above.
        false => Some(unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) }),
    }
}

/// Shows a record; gives what is wrong with it if it is an error in the form of one.
#[expect(unsafe_code, reason = "called with a live message")]
unsafe fn show(
    message: &native::rd_kafka_message_t,
    visit: &mut impl FnMut(Message<'_>),
) -> Option<Event> {
    let topic = message.rkt;
    // SAFETY: the message lives, and with it its topic, payload, key and headers.
    unsafe {
        let name = || match topic.is_null() {
            true => String::new(),
            false => text(native::rd_kafka_topic_name(topic)),
        };
        if message.err != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some(Event::Failed {
                topic: name(),
                partition: message.partition,
                code: message.err.into(),
                message: text(native::rd_kafka_message_errstr(message)),
            });
        }
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let timestamp_ms = native::rd_kafka_message_timestamp(message, &mut kind);
        let headers = headers(message);
        visit(Message {
            topic_id: topic as usize,
            topic: &name,
            partition: message.partition,
            offset: message.offset,
            timestamp_ms,
            key: bytes(message.key, message.key_len),
            value: bytes(message.payload, message.len),
            headers: &headers,
        });
    }
    None
}

#[expect(unsafe_code, reason = "called with a live message")]
unsafe fn headers(message: &native::rd_kafka_message_t) -> Vec<(&str, Option<&[u8]>)> {
    let mut found = Vec::new();
    let mut list = std::ptr::null_mut();
    // SAFETY: the message lives, and with it its headers.
    unsafe {
        let code = native::rd_kafka_message_headers(message, &mut list);
        if code != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return found;
        }
        for at in 0.. {
            let (mut name, mut value, mut length) = (std::ptr::null(), std::ptr::null(), 0);
            let code =
                native::rd_kafka_header_get_all(list, at, &mut name, &mut value, &mut length);
            if code != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            // A name that is no UTF-8 is not shown; nobody could ask for it.
            let name = CStr::from_ptr(name).to_str().unwrap_or_default();
            found.push((name, bytes(value, length)));
        }
    }
    found
}
