package kernel

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrNo is in the error of a probe when the kernel was asked and does not do it. A
// probe without error says yes. With any other error it could not tell, and the
// error says why.
var ErrNo = errors.New("not on this kernel")

// enotsupp is the kernel's own number for an operation that a program type lacks. It
// is not meant for user space, yet it gets there.
const enotsupp = unix.Errno(524)

// refusal is an ErrNo with the kernel's words.
type refusal struct{ err error }

func (r *refusal) Error() string        { return r.err.Error() }
func (r *refusal) Unwrap() error        { return r.err }
func (r *refusal) Is(target error) bool { return target == ErrNo }

// no makes err a definite answer.
func no(err error) error { return &refusal{err} }

// answer makes an errno the answer of a probe that did a legal thing, so that what
// the kernel calls invalid or unsupported is a thing that it does not know.
func answer(doing string, err error) error {
	var errno unix.Errno
	switch {
	case err == nil || errors.As(err, &errno) && errno == 0:
		return nil
	case errors.Is(err, enotsupp):
		return no(fmt.Errorf("%s: not supported (ENOTSUPP)", doing))
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.E2BIG):
		return no(fmt.Errorf("%s: %w", doing, err))
	default:
		return fmt.Errorf("%s: %w%s", doing, err, Explain(err))
	}
}

// Features are the answers of one probe of the running kernel.
type Features struct {
	Types    []TypeProbe
	Features []FeatureProbe
	// LiveMax is the largest packet of a live frame, LiveBatch the largest
	// batch_size; 0 where there are no live frames.
	LiveMax, LiveBatch int
}

// FeatureProbe is one answer, under a name that stays the same between releases.
type FeatureProbe struct {
	Name string
	Err  error // see ErrNo
}

// Probe measures what the running kernel does, by doing it. It loads, runs and
// attaches programs in a network namespace of its own; where it cannot have one, it
// leaves out what would touch the machine's, and answers that it could not tell. It
// takes a fraction of a second. Only what the caller is denied makes answers
// unknown; there is no error.
func Probe() *Features {
	p := &prober{buf: make([]byte, largest)}
	p.isolation = Isolated(0, func() error {
		p.isolated = true
		p.do()
		return nil
	})
	if !p.isolated {
		onThread(p.do)
	}
	return p.features()
}

// onThread runs do on one thread, whose processor and capabilities do not change.
func onThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		do()
	}()
	<-done
}

// prober is the state of one probe.
type prober struct {
	buf       []byte // zero, for packets of all sizes
	isolated  bool   // inside a private network namespace
	isolation error  // why not
	queued    int    // index of an interface with two receive queues, 0 if there is none
	found     Features
}

func (p *prober) do() {
	p.queued = p.newQueues()
	for _, t := range probedTypes() {
		p.found.Types = append(p.found.Types, p.probeType(&t))
	}
	p.loadFlags()
	p.maps()
	p.batches()
	p.live()
	p.system()
}

// features puts the namespace, whose answer is known last, in front.
func (p *prober) features() *Features {
	f := FeatureProbe{Name: "network-namespace", Err: p.isolation}
	if errors.Is(p.isolation, unix.EINVAL) {
		f.Err = no(p.isolation) // a kernel without namespaces
	}
	p.found.Features = append([]FeatureProbe{f}, p.found.Features...)
	return &p.found
}

func (p *prober) add(name string, err error) {
	p.found.Features = append(p.found.Features, FeatureProbe{name, err})
}

// errIsolation is why a thing is not tried without a private network namespace, nil
// inside of one.
func (p *prober) errIsolation() error {
	if p.isolated {
		return nil
	}
	return fmt.Errorf("not tried, since it would touch the machine's own network: %w", p.isolation)
}
