package trigger

import "github.com/bpffuzz/bpffuzz/corpus"

// Passing is a way to have the kernel pass tracepoints on the calling thread, which
// programs watch that are attached by others.
type Passing struct {
	// Fields and Packet are as those of Kind; ContextSize is the size of a context.
	Fields  []corpus.Field
	Packet  corpus.Bounds
	Payload bool
	// Start makes what the events need in the thread's network namespace, which has to
	// be its own.
	Start func() (Trigger, error)
}

// Connections opens, uses and closes a TCP connection over loopback, both ends of
// which are on the calling thread.
func Connections() Passing {
	kind := sockOps()
	return Passing{
		Fields: kind.Fields, Packet: kind.Packet, Payload: kind.Payload,
		Start: func() (Trigger, error) {
			if err := prepareNamespace(); err != nil {
				return nil, err
			}
			return unwatched{&connection{buf: make([]byte, 0, 2*kind.Packet.Max)}}, nil
		},
	}
}

// unwatched is a connection without a program of its own.
type unwatched struct{ *connection }

// Close implements Trigger.
func (unwatched) Close() error { return nil }
