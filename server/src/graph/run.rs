//! One request through a graph: each step as soon as what it takes is there.

use super::{Combine, Graph, Work, bytes_of};
use crate::{
    admit::{Admission, Held},
    error::{Error, Kind},
    metrics::Times,
    pipeline::{
        Pipeline, Raw, Value,
        image::{Pixels, Quad, crop_size, cut_out, turn},
        value::{Class, Object, Part},
    },
    stage::{Stage, aside},
    unit::{Turn, Unit},
};
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::FuturesUnordered};
use millrace_crds::{Crop, Rotate};
use std::{sync::Arc, time::Instant};

/// What goes from step to step.
#[derive(Clone)]
enum Flow {
    Images(Vec<Arc<Picture>>),
    Values(Arc<Vec<Value>>),
}

/// An image in memory, which is counted for as long as it lives.
struct Picture {
    pixels: Pixels,
    _held: Held,
}

/// One request.
struct Run<'a> {
    graph: &'a Graph,
    units: &'a [Arc<Unit>],
    door: &'a Arc<Admission>,
    raw: Arc<Raw>,
    turn: Turn,
}

impl Graph {
    /// Processes a request. `units` are the graph's models, in the order in which it was checked against them.
    ///
    /// # Errors
    /// What a step can't process, with its name; an image or regions beyond a limit; the engine failed; 504.
    pub async fn run(
        &self,
        units: &[Arc<Unit>],
        door: &Arc<Admission>,
        raw: Raw,
        turn: Turn,
    ) -> Result<(Value, Times), Error> {
        let run = Run { graph: self, units, door, raw: Arc::new(raw), turn };
        let done = tokio::time::timeout_at(turn.deadline.into(), run.all()).await;
        done.map_err(|_| Error::new(Kind::Deadline, "the deadline passed"))?
    }
}

impl Run<'_> {
    async fn all(&self) -> Result<(Value, Times), Error> {
        let steps = &self.graph.steps;
        let mut times = Times { rows: 1, ..Times::default() };
        let mut flows: Vec<Option<Flow>> = steps.iter().map(|_| None).collect();
        let mut missing: Vec<usize> = steps.iter().map(|step| step.from.len()).collect();
        let mut takers: Vec<usize> = self.graph.takers.iter().map(Vec::len).collect();
        let mut running = FuturesUnordered::new();
        for at in (0..steps.len()).filter(|at| missing[*at] == 0) {
            running.push(self.step(at, Vec::new()));
        }
        while let Some((at, flow, spent)) = running.try_next().await? {
            times = times.after(spent);
            if at + 1 == steps.len() {
                return Ok((answer(steps[at].each, flow)?, times));
            }
            flows[at] = Some(flow);
            for &next in &self.graph.takers[at] {
                missing[next] -= 1;
                if missing[next] > 0 {
                    continue;
                }
                // Whoever takes an output last leaves nothing of it.
                let take = |from: &usize| {
                    takers[*from] -= 1;
                    if takers[*from] == 0 { flows[*from].take() } else { flows[*from].clone() }
                };
                let inputs = steps[next].from.iter().filter_map(take).collect();
                running.push(self.step(next, inputs));
            }
        }
        Err(unfit())
    }

    /// A step; what goes wrong in it names it.
    async fn step(&self, at: usize, inputs: Vec<Flow>) -> Result<(usize, Flow, Times), Error> {
        let step = &self.graph.steps[at];
        let named = |error: Error| Error { message: format!("step {}: {}", step.name, error.message), ..error };
        let (flow, times) = self.work(&step.work, inputs).await.map_err(named)?;
        Ok((at, flow, times))
    }

    async fn work(&self, work: &Work, inputs: Vec<Flow>) -> Result<(Flow, Times), Error> {
        let begun = Instant::now();
        let door = Arc::clone(self.door);
        let flow = match (work, &inputs[..]) {
            (Work::Infer { model, pipeline }, inputs) => {
                return self.infer(&self.units[*model], pipeline, inputs.first()).await;
            }
            (Work::Decode(decode), []) => {
                let (decode, raw) = (*decode, Arc::clone(&self.raw));
                Flow::Images(vec![aside(move || picture(decode.read(&raw.body)?, &door)).await?])
            }
            (Work::Crop(spec), [Flow::Images(images), Flow::Values(regions)]) => {
                let image = Arc::clone(images.first().ok_or_else(unfit)?);
                let (spec, regions, deadline) = (spec.clone(), Arc::clone(regions), self.turn.deadline);
                Flow::Images(aside(move || crop(&spec, &image.pixels, &regions, &door, deadline)).await?)
            }
            (Work::Rotate(spec), [Flow::Images(images), Flow::Values(classes)]) => {
                let (spec, images, classes) = (spec.clone(), images.clone(), Arc::clone(classes));
                Flow::Images(aside(move || rotate(&spec, &images, &classes, &door)).await?)
            }
            (Work::Combine(spec), inputs) => Flow::Values(Arc::new(combine(spec, inputs)?)),
            _ => return Err(unfit()),
        };
        Ok((flow, Times { input: begun.elapsed(), ..Times::default() }))
    }

    /// A model on the request, or on each image: a few at a time, in their order.
    async fn infer(
        &self,
        unit: &Arc<Unit>,
        pipeline: &Arc<Pipeline>,
        input: Option<&Flow>,
    ) -> Result<(Flow, Times), Error> {
        let stage = Stage { unit: Arc::clone(unit), pipeline: Arc::clone(pipeline) };
        let turn = self.turn;
        let (values, times) = match input {
            None => {
                let (own, raw) = (Arc::clone(pipeline), Arc::clone(&self.raw));
                let prepared = aside(move || own.prepare(&raw)).await?;
                let (value, times) = stage.run(prepared, turn).await?;
                (vec![value], times)
            }
            Some(Flow::Images(images)) => {
                let one = |image: Arc<Picture>| {
                    let (own, stage) = (Arc::clone(pipeline), stage.clone());
                    async move {
                        let prepared = aside(move || own.prepare_pixels(&image.pixels)).await?;
                        stage.run(prepared, turn).await
                    }
                };
                let mut done = stream::iter(images.clone()).map(one).buffered(unit.side_by_side());
                let (mut values, mut times) = (Vec::with_capacity(images.len()), Times::default());
                while let Some((value, spent)) = done.try_next().await? {
                    values.push(value);
                    times = times.beside(spent);
                }
                (values, times)
            }
            Some(Flow::Values(_)) => return Err(unfit()),
        };
        // Regions are what later steps take one by one.
        let apart = |value: Value| match value {
            Value::Boxes(boxes) => boxes.into_iter().map(Value::Detection).collect(),
            Value::Regions(regions) => regions.into_iter().map(Value::Region).collect(),
            other => vec![other],
        };
        Ok((Flow::Values(Arc::new(values.into_iter().flat_map(apart).collect())), times))
    }
}

/// The graph was checked: this can't be.
fn unfit() -> Error {
    Error::new(Kind::Engine, "a step of the graph got what it doesn't take")
}

fn picture(pixels: Pixels, door: &Arc<Admission>) -> Result<Arc<Picture>, Error> {
    let held = door.hold(bytes_of(&pixels))?;
    Ok(Arc::new(Picture { pixels, _held: held }))
}

fn answer(each: bool, flow: Flow) -> Result<Value, Error> {
    let Flow::Values(values) = flow else { return Err(unfit()) };
    let mut values = Arc::unwrap_or_clone(values);
    if each { Ok(Value::List(values)) } else { values.pop().ok_or_else(unfit) }
}

/// All regions as images. Their number and size are looked at, and counted, before one is made.
fn crop(
    spec: &Crop,
    image: &Pixels,
    regions: &[Value],
    door: &Arc<Admission>,
    deadline: Instant,
) -> Result<Vec<Arc<Picture>>, Error> {
    let refused = |message: String| Error::new(Kind::Unprocessable, message);
    if regions.len() as u64 > u64::from(spec.max_items) {
        let most = spec.max_items;
        return Err(refused(format!(
            "the image has {} regions; crop.maxItems of this service is {most}",
            regions.len()
        )));
    }
    let corners: Vec<Quad> = regions.iter().map(corners).collect::<Option<_>>().ok_or_else(unfit)?;
    let area = |corners: &Quad| {
        let (width, height) = crop_size(corners);
        u64::from(width) * u64::from(height)
    };
    let whole = corners.iter().map(area).fold(0, u64::saturating_add);
    if whole > spec.max_pixels {
        let most = spec.max_pixels;
        return Err(refused(format!(
            "the image's regions have {whole} pixels; crop.maxPixels of this service is {most}"
        )));
    }
    let bytes = |corners: &Quad| usize::try_from(area(corners)).unwrap_or(usize::MAX).saturating_mul(image.channels);
    let held: Vec<Held> = corners.iter().map(|corners| door.hold(bytes(corners))).collect::<Result<_, _>>()?;
    let cut = corners.iter().zip(held).map(|(corners, held)| {
        if Instant::now() > deadline {
            return Err(Error::new(Kind::Deadline, "the deadline passed"));
        }
        let mut pixels = cut_out(image, corners);
        let ratio = f64::from(pixels.height) / f64::from(pixels.width);
        if spec.turn_from_ratio.is_some_and(|least| ratio >= least) {
            pixels = turn(&pixels, millrace_crds::Turn::Left);
        }
        Ok(Arc::new(Picture { pixels, _held: held }))
    });
    cut.collect()
}

fn corners(region: &Value) -> Option<Quad> {
    match region.part("box")? {
        Part::Corners(corners) => Some(corners),
        Part::Sides([left, top, right, bottom]) => Some([[left, top], [right, top], [right, bottom], [left, bottom]]),
        _ => None,
    }
}

fn rotate(
    spec: &Rotate,
    images: &[Arc<Picture>],
    classes: &[Value],
    door: &Arc<Admission>,
) -> Result<Vec<Arc<Picture>>, Error> {
    if images.len() != classes.len() {
        return Err(unfit());
    }
    let one = |(image, class): (&Arc<Picture>, &Value)| {
        let Value::Class(Class { label, score }) = class else { return Err(unfit()) };
        if label == spec.label.as_str() && f64::from(*score) > spec.above {
            picture(turn(&image.pixels, spec.turn), door)
        } else {
            Ok(Arc::clone(image))
        }
    };
    images.iter().zip(classes).map(one).collect()
}

fn combine(spec: &Combine, inputs: &[Flow]) -> Result<Vec<Value>, Error> {
    let values = inputs.iter().map(|flow| match flow {
        Flow::Values(values) => Ok(values.as_slice()),
        Flow::Images(_) => Err(unfit()),
    });
    let values: Vec<&[Value]> = values.collect::<Result<_, _>>()?;
    let count = values.first().map_or(0, |first| first.len());
    if values.iter().any(|other| other.len() != count) {
        return Err(unfit());
    }
    let object = |at: usize| {
        let part = |field: &super::Field| {
            let value = &values[field.input][at];
            let part = match &field.field {
                Some(name) => value.part(name).ok_or_else(unfit)?,
                None => Part::Whole(Box::new(value.clone())),
            };
            Ok((field.name.clone(), part))
        };
        spec.fields.iter().map(part).collect::<Result<Vec<_>, Error>>()
    };
    let mut objects = (0..count).map(object).collect::<Result<Vec<_>, Error>>()?;
    if let Some((place, least)) = spec.keep {
        objects.retain(|parts| matches!(parts[place].1, Part::Score(score) if f64::from(score) >= least));
    }
    Ok(objects.into_iter().map(|parts| Value::Object(Object(parts))).collect())
}
