package bpf

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// BenchmarkTrigger measures one event of each kind, with an input in the middle of
// what it may carry.
func BenchmarkTrigger(b *testing.B) {
	for _, test := range triggerExamples() {
		b.Run(test.file+"/"+test.program, func(b *testing.B) {
			target := newTriggerExample(b, test.file, test.program)
			err := kernel.Isolated(0, func() error {
				exec, err := target.NewExecutor(0)
				if err != nil {
					return err
				}
				shape := target.Shape()
				in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, max(shape.Packet.Min, min(64, shape.Packet.Max)))}}}
				for b.Loop() {
					if _, err := exec.Alone(b.Context(), in, 0); err != nil {
						return err
					}
				}
				return exec.Close()
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
