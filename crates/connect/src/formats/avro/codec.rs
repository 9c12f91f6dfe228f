//! Decompresses the blocks of a file, never to more than a bound: what a block says of its own size is
//! not believed.

use std::io::Read;

use arrow_avro::compression::CompressionCodec;

/// Most memory that an xz stream may ask for its dictionary.
const XZ_MEMORY: u64 = 256 << 20;

/// Appends what the block holds to `to`, `most` bytes at most.
pub(super) fn decompress(
    codec: Option<CompressionCodec>,
    block: &[u8],
    to: &mut Vec<u8>,
    most: usize,
) -> Result<(), String> {
    let before = to.len();
    match codec {
        None => to.extend_from_slice(block),
        Some(CompressionCodec::Snappy) => snappy(block, to, most)?,
        Some(CompressionCodec::Deflate) => {
            bounded(flate2::bufread::DeflateDecoder::new(block), to, most)?;
        }
        Some(CompressionCodec::ZStandard) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(block);
            bounded(decoder.map_err(|error| error.to_string())?, to, most)?;
        }
        Some(CompressionCodec::Bzip2) => {
            bounded(bzip2::bufread::BzDecoder::new(block), to, most)?;
        }
        Some(CompressionCodec::Xz) => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0);
            let stream = stream.map_err(|error| error.to_string())?;
            bounded(
                liblzma::bufread::XzDecoder::new_stream(block, stream),
                to,
                most,
            )?;
        }
    }
    if to.len() - before > most {
        return Err(format!("it holds more than {most} bytes"));
    }
    Ok(())
}

/// Reads one byte more than `most`, so that it is seen if there are more.
fn bounded(decoder: impl Read, to: &mut Vec<u8>, most: usize) -> Result<(), String> {
    let outcome = decoder.take(most as u64 + 1).read_to_end(to);
    outcome.map(|_| ()).map_err(|error| error.to_string())
}

/// Raw Snappy and behind it the CRC-32 of what it holds, big-endian.
fn snappy(block: &[u8], to: &mut Vec<u8>, most: usize) -> Result<(), String> {
    let Some((block, sum)) = block.split_last_chunk::<4>() else {
        return Err("its checksum is missing".to_owned());
    };
    let says = snap::raw::decompress_len(block).map_err(|error| error.to_string())?;
    // Three bytes say at most "64 bytes as before".
    if says > most || says / 32 > block.len() {
        return Err(format!("{} bytes claim to hold {says}", block.len()));
    }
    let before = to.len();
    to.resize(before + says, 0);
    let held = snap::raw::Decoder::new().decompress(block, &mut to[before..]);
    held.map_err(|error| error.to_string())?;
    let mut crc = flate2::Crc::new();
    crc.update(&to[before..]);
    if crc.sum() != u32::from_be_bytes(*sum) {
        return Err("its checksum does not fit".to_owned());
    }
    Ok(())
}
