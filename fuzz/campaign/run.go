package campaign

import (
	"context"
	"errors"
	"time"
)

// Turn is a time of one target.
type Turn struct {
	Target *Target
	// Number counts the target's turns from 0.
	Number int
	// Workers are those that are at work on the target.
	Workers int
	Seed    uint64
	// Check has what is saved run, and nothing else.
	Check bool
	// Length is how long to fuzz; 0 with Check.
	Length time.Duration
}

// Options says how to run a campaign. Targets, Past and Do are needed.
type Options struct {
	Targets []Target
	// Workers run at once, over all targets; 0 means 1.
	Workers int
	// Turn is how long a target has it at most; 0 means DefaultTurn.
	Turn time.Duration
	// Duration is how long to fuzz, what the session used before included; 0 means until the
	// context ends.
	Duration time.Duration
	// Check has what is saved of each target run before anything is fuzzed; CheckOnly ends
	// the campaign behind that.
	Check, CheckOnly bool
	// Past is what was before; Run keeps it up to date.
	Past *Past
	// Do runs a turn. It is called from any goroutine, for one target once at a time. An
	// error says that the target could not run; it is tried again later.
	Do func(context.Context, Turn) (Outcome, error)
	// Changed says that a target was built again since its last turn: its next one is before
	// those of others. It is called often, for targets that are not at work, from the goroutine
	// of Run; nil means never.
	Changed func(*Target) bool
	// Began, Ended and Saved are called from the goroutine of Run; nil means never. Ended gets
	// the error of Do. Saved is called when Past changed, so that it can be stored.
	Began func(Turn)
	Ended func(Turn, Outcome, error)
	Saved func()
}

// ErrNothingRan says that no target could run.
var ErrNothingRan = errors.New("no target could run")

const (
	// saveEvery is how much of a session's time may be lost when the process is killed.
	saveEvery = 3 * time.Second
	// maxRetry is the longest time until a target that could not run is tried again.
	maxRetry = 30 * time.Minute
	// minTurn is the shortest turn where there is more time than targets.
	minTurn = time.Second
)

func (o Options) withDefaults() Options {
	o.Workers = max(o.Workers, 1)
	if o.Turn <= 0 {
		o.Turn = DefaultTurn
	}
	if o.Changed == nil {
		o.Changed = func(*Target) bool { return false }
	}
	if o.Began == nil {
		o.Began = func(Turn) {}
	}
	if o.Ended == nil {
		o.Ended = func(Turn, Outcome, error) {}
	}
	if o.Saved == nil {
		o.Saved = func() {}
	}
	return o
}

// Run runs a campaign until its duration is over or the context ends, which is no error.
// The error is ErrNothingRan where no target could run.
func Run(ctx context.Context, o Options) error {
	r := newRunner(o.withDefaults())
	if o.Check || o.CheckOnly {
		r.check(ctx)
	}
	if !o.CheckOnly && ctx.Err() == nil && !r.allFailed() {
		r.fuzz(ctx)
	}
	if o.CheckOnly && ctx.Err() == nil {
		r.o.Past.Session.Ended = true
	}
	r.o.Saved()
	if r.allFailed() && ctx.Err() == nil {
		return ErrNothingRan
	}
	return nil
}

// runner is a campaign at work. Only the goroutine of Run has it.
type runner struct {
	o        Options
	schedule *Schedule
	free     int // workers
	failed   []failure
	ran      bool   // some target did, in this process
	had      []bool // which had a turn in this process, of whatever outcome
	done     chan result
	busy     int // turns

	start  time.Time
	before time.Duration // that the session used in other processes
}

// failure is why a target cannot run at the moment.
type failure struct {
	times int
	again time.Time // not before
}

// result is the end of a turn.
type result struct {
	i    int
	turn Turn
	out  Outcome
	err  error
}

func newRunner(o Options) *runner {
	weights := make([]float64, len(o.Targets))
	for i := range o.Targets {
		weights[i] = max(o.Targets[i].Weight, 0)
	}
	r := &runner{o: o, free: o.Workers, failed: make([]failure, len(o.Targets)), had: make([]bool, len(o.Targets)), done: make(chan result, len(o.Targets))}
	r.schedule = NewSchedule(weights, r.length())
	for i := range o.Targets {
		r.schedule.Shares[i] = o.Past.Target(o.Targets[i].Name).share()
	}
	return r
}

// length is how long turns are: shorter than Options.Turn where there would be targets that
// never have one.
func (r *runner) length() time.Duration {
	length := r.o.Turn
	if r.o.Duration > 0 {
		lanes := min(r.o.Workers, len(r.o.Targets))
		fair := r.o.Duration * time.Duration(lanes) / time.Duration(max(len(r.o.Targets), 1))
		length = min(length, max(fair, minTurn))
	}
	return length
}

// workers is how many are at work on a target at once.
func (r *runner) workers(i int) int {
	if n := r.o.Targets[i].Workers; n > 0 {
		return min(n, r.o.Workers)
	}
	return max(r.o.Workers/max(len(r.o.Targets), 1), 1)
}

// check runs what is saved of each target that was not checked in this session.
func (r *runner) check(ctx context.Context) {
	for i := 0; ctx.Err() == nil && (i < len(r.o.Targets) || r.busy > 0); {
		for i < len(r.o.Targets) && (r.past(i).Checked || r.workers(i) <= r.free) {
			if !r.past(i).Checked {
				r.begin(ctx, i, Turn{Check: true})
			}
			i++
		}
		if r.busy > 0 {
			r.end(<-r.done)
		}
	}
	r.drain()
}

// fuzz gives targets turns until the time is over.
func (r *runner) fuzz(ctx context.Context) {
	r.start, r.before = time.Now(), seconds(max(r.o.Past.Session.Used, 0))
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for ctx.Err() == nil && !r.over() && !r.allFailed() {
		r.fill(ctx)
		select {
		case one := <-r.done:
			r.end(one)
		case <-tick.C:
			r.save()
		case <-ctx.Done():
		}
	}
	r.drain()
	r.o.Past.Session.Ended = r.over() || r.o.Duration == 0
	r.save()
}

// fill starts turns as long as there are workers for the target that is next. Where there
// are too few for it, those that are free wait with it, or it would never have a turn.
func (r *runner) fill(ctx context.Context) {
	for !r.over() {
		i := r.next()
		if i < 0 || r.workers(i) > r.free {
			return
		}
		r.begin(ctx, i, Turn{Length: r.until()})
	}
}

// until is how long a turn that begins now may be.
func (r *runner) until() time.Duration {
	length := r.length()
	if r.o.Duration > 0 {
		length = min(length, r.o.Duration-r.used())
	}
	return length
}

// used is the time that the session has fuzzed.
func (r *runner) used() time.Duration { return r.before + time.Since(r.start) }

func (r *runner) over() bool { return r.o.Duration > 0 && r.used() >= r.o.Duration }

// next returns the target whose turn is next: one that was built again, or else what the
// schedule says. Those that could not run are back in it once they had time to be mended.
func (r *runner) next() int {
	for i := range r.o.Targets {
		if r.schedule.busy[i] {
			continue
		}
		changed := r.had[i] && r.o.Changed(&r.o.Targets[i])
		if f := &r.failed[i]; f.times > 0 && (changed || !time.Now().Before(f.again)) {
			r.schedule.Out(i, false)
		}
		if changed {
			return i
		}
	}
	return r.schedule.Next()
}

func (r *runner) begin(ctx context.Context, i int, turn Turn) {
	turn.Target, turn.Workers, turn.Number = &r.o.Targets[i], r.workers(i), r.schedule.Shares[i].Turns
	turn.Seed = turnSeed(r.o.Past.Seed, turn.Target.Name, turn.Number)
	r.schedule.Begin(i)
	r.free -= turn.Workers
	r.busy++
	r.o.Began(turn)
	go func() {
		start := time.Now()
		out, err := r.o.Do(ctx, turn)
		out.Took = time.Since(start)
		r.done <- result{i, turn, out, err}
	}()
}

// end notes what a turn gave.
func (r *runner) end(one result) {
	r.free += one.turn.Workers
	r.busy--
	r.had[one.i] = true
	past := r.past(one.i)
	if one.err != nil {
		r.fail(one.i)
		past.Problem = one.err.Error()
	} else {
		r.ran, r.failed[one.i], past.Problem = true, failure{}, ""
		r.succeed(&one, past)
	}
	r.o.Ended(one.turn, one.out, one.err)
	r.save()
}

func (r *runner) succeed(one *result, past *TargetPast) {
	past.Execs += one.out.Execs
	if one.turn.Check {
		past.Checked = true
		r.schedule.Cancel(one.i)
		return
	}
	r.schedule.End(one.i, one.out, one.turn.Workers)
	past.take(r.schedule.Shares[one.i])
}

// fail takes a target out of the schedule, each time for longer.
func (r *runner) fail(i int) {
	f := &r.failed[i]
	f.times++
	wait := maxRetry
	if f.times < 16 {
		wait = min(r.length()<<(f.times-1), maxRetry)
	}
	f.again = time.Now().Add(wait)
	r.schedule.Cancel(i)
	r.schedule.Out(i, true)
}

// allFailed reports whether each target was tried in this process and none could run.
func (r *runner) allFailed() bool {
	if r.ran {
		return false
	}
	for i := range r.failed {
		if r.failed[i].times == 0 {
			return false
		}
	}
	return true
}

// drain waits for the turns that are at work.
func (r *runner) drain() {
	for r.busy > 0 {
		r.end(<-r.done)
	}
}

func (r *runner) save() {
	if !r.start.IsZero() {
		r.o.Past.Session.Used = r.used().Seconds()
	}
	for i := range r.o.Targets {
		r.past(i).take(r.schedule.Shares[i])
	}
	r.o.Saved()
}

func (r *runner) past(i int) *TargetPast { return r.o.Past.Target(r.o.Targets[i].Name) }
