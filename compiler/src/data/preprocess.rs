//! From raw values to what the float network takes.

use serde::{Deserialize, Serialize};

/// Normalisation of the network's input: real value = (raw value - mean) / std, for each channel, in f32.
///
/// After construction both lists have one entry for each channel and every std is finite and not zero, so nothing divides by zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preprocess {
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// A mean or a standard deviation that cannot be used (bad input, exit code 2).
#[derive(Debug, thiserror::Error)]
pub enum PreprocessError {
    /// Not the JSON object that is meant.
    #[error("preprocessing is {{\"mean\": number or list, \"std\": number or list}}")]
    Json(#[from] serde_json::Error),
    /// A list that has not one entry for each channel.
    #[error("preprocessing: {name} has {found} entries for {channels} channels")]
    Length {
        /// `mean` or `std`.
        name: &'static str,
        /// Entries in the list.
        found: usize,
        /// Channels of the model's input.
        channels: usize,
    },
    /// NaN, infinity, a standard deviation of zero, or one below.
    #[error("preprocessing: {name} of channel {channel} is {value:?}")]
    Value {
        /// `mean` or `std`.
        name: &'static str,
        /// Index of the channel.
        channel: usize,
        /// The value.
        value: f32,
    },
}

/// One number for all channels, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum PerChannel {
    All(f32),
    Each(Vec<f32>),
}

impl PerChannel {
    fn into_vec(self) -> Vec<f32> {
        match self {
            PerChannel::All(x) => vec![x],
            PerChannel::Each(list) => list,
        }
    }
}

#[derive(Deserialize)]
struct File {
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
}

impl Preprocess {
    /// Real value = raw value.
    pub fn identity(channels: usize) -> Preprocess {
        Preprocess { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// Lists of one entry hold for all channels.
    ///
    /// # Errors
    /// A list of another length than 1 or `channels`; a mean that is not finite; a std that is not finite and above zero.
    pub fn new(mean: Vec<f32>, std: Vec<f32>, channels: usize) -> Result<Preprocess, PreprocessError> {
        let mean = broadcast("mean", mean, channels)?;
        let std = broadcast("std", std, channels)?;
        let check = |name, values: &[f32], usable: fn(f32) -> bool| match values.iter().position(|&v| !usable(v)) {
            Some(channel) => Err(PreprocessError::Value { name, channel, value: values[channel] }),
            None => Ok(()),
        };
        check("mean", &mean, f32::is_finite)?;
        // A subnormal std makes infinities of ordinary values.
        check("std", &std, |s| s.is_normal() && s > 0.0)?;
        Ok(Preprocess { mean, std })
    }

    /// Reads `{"mean": number or list, "std": number or list}`. Other keys are ignored; without `mean` it is 0, without `std` it is 1.
    ///
    /// # Errors
    /// Text that is not such an object, and as [`Preprocess::new`].
    pub fn from_json(text: &str, channels: usize) -> Result<Preprocess, PreprocessError> {
        // By way of an object: a list would fill the fields in order.
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        let file: File = serde_json::from_value(object.into())?;
        let mean = file.mean.map_or(vec![0.0], PerChannel::into_vec);
        let std = file.std.map_or(vec![1.0], PerChannel::into_vec);
        Preprocess::new(mean, std, channels)
    }

    /// One mean for each channel.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// One standard deviation for each channel, above zero.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// The real value of one raw value.
    ///
    /// # Panics
    /// If `channel` is not a channel of the model's input.
    pub fn real(&self, raw: f32, channel: usize) -> f32 {
        (raw - self.mean[channel]) / self.std[channel]
    }

    /// Turns raw values, channel last with `channels` channels, into real ones.
    ///
    /// # Panics
    /// If this preprocessing was made for another number of channels.
    pub fn apply(&self, values: &mut [f32], channels: usize) {
        assert_eq!(self.mean.len(), channels, "preprocessing is for another number of channels");
        for pixel in values.chunks_exact_mut(channels) {
            for ((x, mean), std) in pixel.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = (*x - mean) / std;
            }
        }
    }
}

fn broadcast(name: &'static str, values: Vec<f32>, channels: usize) -> Result<Vec<f32>, PreprocessError> {
    match values.len() {
        n if n == channels => Ok(values),
        1 => Ok(vec![values[0]; channels]),
        found => Err(PreprocessError::Length { name, found, channels }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists_are_spread_over_the_channels() {
        let p = Preprocess::from_json(r#"{"mean": 2, "std": [1, 2, 4], "layout": "NCHW", "formula": null}"#, 3).unwrap();
        assert_eq!((p.mean(), p.std()), (&[2.0; 3][..], &[1.0, 2.0, 4.0][..]));
        let p = Preprocess::from_json(r#"{"mean": [83.0], "std": [1.7102702665232845]}"#, 1).unwrap();
        assert_eq!(p.real(-128.0, 0), (-128.0_f32 - 83.0) / 1.710_270_3);
        assert_eq!(Preprocess::from_json("{}", 2).unwrap(), Preprocess::identity(2));
        assert_eq!(Preprocess::from_json(r#"{"mean": [1]}"#, 640).unwrap().mean(), [1.0; 640]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let message = |text: &str| Preprocess::from_json(text, 3).unwrap_err().to_string();
        assert_eq!(message(r#"{"std": [1, 0, 1]}"#), "preprocessing: std of channel 1 is 0.0");
        assert_eq!(message(r#"{"std": 1e-42}"#), "preprocessing: std of channel 0 is 1e-42");
        assert_eq!(message(r#"{"std": -2}"#), "preprocessing: std of channel 0 is -2.0");
        assert_eq!(message(r#"{"mean": [1, 2]}"#), "preprocessing: mean has 2 entries for 3 channels");
        assert_eq!(message(r#"{"mean": []}"#), "preprocessing: mean has 0 entries for 3 channels");
        // JSON has no NaN, but 1e99 overflows f32.
        assert_eq!(message(r#"{"mean": 1e99}"#), "preprocessing: mean of channel 0 is inf");
        assert!(message(r#"{"mean": "1"}"#).starts_with("preprocessing is {"));
        assert!(message("[1, 2]").starts_with("preprocessing is {"));
        assert!(Preprocess::new(vec![0.0], vec![f32::NAN], 1).is_err());
    }
}
