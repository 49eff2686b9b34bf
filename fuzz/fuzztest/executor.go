package fuzztest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// costly is what a batch does not record: it takes a call for each execution.
const costly = corpus.HaveContext | corpus.HaveMaps | corpus.HaveDuration

// judged is a target whose executors give the Func of a fuzz target what it reads.
type judged struct {
	fuzz.Target
	fn Func
	// other, where there is one, runs each input as well.
	other fuzz.Target
	tb    func(worker int) *execution
	// need is what has to be recorded on each execution; it only grows.
	need atomic.Uint32
	// stopped makes executions that are not judged yet be left unjudged.
	stopped atomic.Bool
	// flights are where a worker notes what the Func is called with; nil for nowhere.
	flights func(worker int) *flight
	// What may be nil: investigating is called when a failure is looked into, switched
	// once when something costly is needed, started once before the first batch.
	investigating, switched, started func()
	switches, starts                 sync.Once
}

// NewExecutor implements fuzz.Target.
func (j *judged) NewExecutor(worker int) (fuzz.Executor, error) {
	inner, err := j.Target.NewExecutor(worker)
	if err != nil || j.other == nil {
		return j.wrap(inner, nil, worker), err
	}
	twin, err := newTwin(j.other, worker)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return j.wrap(inner, twin, worker), nil
}

// wrap keeps what an executor can do besides: the engine asks for it by type.
func (j *judged) wrap(inner fuzz.Executor, twin *twin, worker int) fuzz.Executor {
	if inner == nil {
		return nil
	}
	c := &call{judged: j, x: j.tb(worker)}
	c.t = T{TB: c.x, shape: j.Shape(), require: c.require}
	if j.flights != nil {
		c.flight = j.flights(worker)
	}
	e := &executor{Executor: inner, judged: j, call: c, twin: twin, view: view{call: c}}
	comparer, compares := inner.(fuzz.Comparer)
	keys, logs := inner.(fuzz.KeyLogger)
	switch {
	case compares && logs:
		return &keyLogger{comparing{e, comparer}, keys}
	case compares:
		return &comparing{e, comparer}
	}
	return e
}

// comparing is an executor that can tell what a run compared.
type comparing struct {
	*executor
	fuzz.Comparer
}

// keyLogger is one that can also tell what it looked up in maps.
type keyLogger struct {
	comparing
	fuzz.KeyLogger
}

// executor runs batches as long as nothing costly is needed, and inputs alone, with
// everything recorded, from then on.
type executor struct {
	fuzz.Executor
	judged *judged
	call   *call
	twin   *twin       // nil where nothing is compared
	view   view        // of what runs alone
	views  []view      // of the inputs of a batch
	one    *fuzz.Batch // holds a single input; nil until it is used
	alone  bool        // the last Run was of one
	cover  []byte      // of that
	traced bool        // a failure was looked into
}

// Batch implements fuzz.Executor.
func (e *executor) Batch() *fuzz.Batch {
	if e.judged.need.Load() == 0 {
		return e.Executor.Batch()
	}
	if e.one == nil {
		shape := e.judged.Shape()
		steps := max(shape.MaxSteps, 1)
		e.one = fuzz.NewBatch(steps, steps, fuzz.Room{
			Packet: shape.Packet.Max, Meta: shape.Meta.Max, Context: shape.ContextSize, Chance: chanceRoom,
		})
	}
	return e.one
}

// chanceRoom is how many bytes a step may have for virtualised helpers.
const chanceRoom = 64

// Run implements fuzz.Executor.
func (e *executor) Run(ctx context.Context) error {
	if e.begin(); e.alone {
		return e.runOne(ctx)
	}
	if err := e.Executor.Run(ctx); err != nil {
		return err
	}
	return e.attach(ctx)
}

func (e *executor) begin() {
	if e.judged.started != nil {
		e.judged.starts.Do(e.judged.started)
	}
	e.alone = e.one != nil
}

// Scored implements fuzz.Scorer; there is nothing to score where the executor cannot.
func (e *executor) Scored() ([]int, string, error) {
	if s, ok := e.Executor.(fuzz.Scorer); ok {
		return s.Scored()
	}
	return nil, "", nil
}

// Score implements fuzz.Scorer.
func (e *executor) Score(ctx context.Context, scores []fuzz.Score) error {
	s, ok := e.Executor.(fuzz.Scorer)
	if e.begin(); !ok || e.alone {
		for i := range scores {
			scores[i].Input = -1
		}
		return e.Run(ctx)
	}
	if err := s.Score(ctx, scores); err != nil {
		return err
	}
	return e.attach(ctx)
}

// attach gives the outcomes of a batch what the Func is called with.
func (e *executor) attach(ctx context.Context) error {
	batch := e.Executor.Batch()
	if e.twin != nil {
		if err := e.twin.run(ctx, batch); err != nil {
			return err
		}
	}
	for len(e.views) < batch.Len() {
		e.views = append(e.views, view{call: e.call})
	}
	for i := range batch.Len() {
		if e.twin != nil {
			e.views[i].twin = e.twin.outcome(i)
		}
		batch.Outcome(i).Maps = &e.views[i]
	}
	return nil
}

func (e *executor) runOne(ctx context.Context) error {
	if e.one.Len() == 0 {
		return nil
	}
	out, err := e.Alone(ctx, e.one.Input(0), 0)
	if err != nil {
		return err
	}
	e.cover = append(e.cover[:0], out.Cover...)
	*e.one.Outcome(0) = *out
	return nil
}

// Cover implements fuzz.Executor.
func (e *executor) Cover() []byte {
	if e.alone {
		return e.cover
	}
	return e.Executor.Cover()
}

// Alone implements fuzz.Executor.
func (e *executor) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	// Only what looks into a failure asks for the order of edges.
	if want&corpus.HaveTrace != 0 && !e.traced && e.judged.investigating != nil {
		e.traced = true
		e.judged.investigating()
	}
	out, err := e.Executor.Alone(ctx, in, want|costly)
	if err != nil {
		return nil, err
	}
	if e.twin != nil {
		if e.view.twin, err = e.twin.alone(ctx, in); err != nil {
			return nil, err
		}
	}
	e.view.maps, out.Maps = out.Maps, &e.view
	return out, nil
}

// Recreate implements fuzz.Executor.
func (e *executor) Recreate(ctx context.Context) error {
	err := e.Executor.Recreate(ctx)
	if e.twin != nil {
		err = errors.Join(err, e.twin.recreate(ctx))
	}
	return err
}

// Close implements fuzz.Executor.
func (e *executor) Close() error {
	err := e.Executor.Close()
	if e.twin != nil {
		err = errors.Join(err, e.twin.close())
	}
	return err
}

// call is how a worker calls the Func.
type call struct {
	judged *judged
	t      T
	x      *execution
	flight *flight
	in     corpus.Input
	steps  []corpus.Step // what in has room for
}

// require is what T asks for: an outcome that does not have it is not judged, and
// everything that runs from then on has it.
func (c *call) require(need corpus.Have) {
	if need&^c.t.out.Have == 0 {
		return
	}
	c.judged.require(need)
	c.x.SkipNow()
}

func (j *judged) require(need corpus.Have) {
	if need &= costly; need == 0 {
		return
	}
	j.need.Or(uint32(need))
	if j.switched != nil {
		j.switches.Do(j.switched)
	}
}

// judgeByFunc implements triage.Oracle: it calls the Func of the executor that made out.
func judgeByFunc(in *corpus.Input, out *corpus.Outcome) error {
	v, ok := out.Maps.(*view)
	if !ok || v.call.judged.fn == nil {
		return nil // in a replay the Func is called otherwise
	}
	inBatch := v.maps == nil
	if inBatch && v.call.judged.stopped.Load() {
		return nil
	}
	return v.call.do(in, out, v.twin)
}

// do calls the Func with a copy of in. What it gets is ordinary memory, so that a
// goroutine that goes on with it reads another input at worst, and is found by -race.
func (c *call) do(in *corpus.Input, out, twin *corpus.Outcome) error {
	for len(c.steps) < len(in.Steps) {
		c.steps = append(c.steps, corpus.Step{})
	}
	c.in.Maps, c.in.Steps = in.Maps, c.steps[:len(in.Steps)]
	for i := range in.Steps {
		copyStep(&c.in.Steps[i], &in.Steps[i])
	}
	c.t.in, c.t.out, c.t.twin = &c.in, out, twin
	c.flight.begin(&c.in)
	err := c.x.call(c.judged.fn, &c.t, &c.in, out)
	c.flight.end()
	return err
}

// copyStep makes dst an equal of src in memory of its own, which grows as needed.
func copyStep(dst, src *corpus.Step) {
	dst.Packet = append(dst.Packet[:0], src.Packet...)
	dst.Meta = append(dst.Meta[:0], src.Meta...)
	dst.Context = append(dst.Context[:0], src.Context...)
	dst.Chance = append(dst.Chance[:0], src.Chance...)
	dst.CPU, dst.Flags, dst.Fault = src.CPU, src.Flags, src.Fault
}

// view is the maps of an outcome, and ties it to the worker that made it.
type view struct {
	call *call
	maps corpus.MapView  // nil in a batch, which does not record them
	twin *corpus.Outcome // of the other program, where there is one that takes the input
}

// Lookup implements corpus.MapView.
func (v *view) Lookup(dst []byte, name string, key []byte) (value []byte, ok bool, err error) {
	if v.maps == nil {
		v.call.require(corpus.HaveMaps)
	}
	return v.maps.Lookup(dst, name, key)
}
