package bpf

import "slices"

// summarize makes rows of the samples.
func (b *bencher) summarize() {
	for _, way := range b.ways {
		row := way.row
		for _, s := range way.samples {
			row.Execs += s.execs
		}
		row.CPU = way.spread(perExec)
		row.Rate = way.spread(func(_ int, s sample) float64 { return s.rate() })
		if call := b.find(BenchRow{Way: BenchCall, Size: b.compared(row.Size), Workers: 1}); call != nil {
			row.Ratio = way.spread(func(run int, s sample) float64 { return call.samples[run].perExec() / s.perExec() })
			row.Best = call.spread(perExec).Min / row.CPU.Min
		}
		alone := row
		alone.Workers = 1
		if one := b.find(alone); one != nil && row.Workers > 1 {
			row.Scale = way.spread(func(run int, s sample) float64 { return s.rate() / one.samples[run].rate() })
		}
		b.report.Rows = append(b.report.Rows, row)
	}
}

// compared is the size of the bare call that packets of size bytes are compared with.
func (b *bencher) compared(size int) int {
	if size == 0 {
		return b.opts.Sizes[0]
	}
	return size
}

// find returns what is measured as row says, or nil.
func (b *bencher) find(row BenchRow) *benchWay {
	for _, way := range b.ways {
		if r := &way.row; r.Way == row.Way && r.Executor == row.Executor && r.Size == row.Size && r.Slots == row.Slots && r.Workers == row.Workers {
			return way
		}
	}
	return nil
}

// spread sums up a number that each run has.
func (w *benchWay) spread(number func(run int, s sample) float64) Spread {
	all := make([]float64, len(w.samples))
	for run, s := range w.samples {
		all[run] = number(run, s)
	}
	slices.Sort(all)
	n := len(all)
	return Spread{Median: (all[(n-1)/2] + all[n/2]) / 2, Min: all[0], Max: all[n-1]}
}

func perExec(_ int, s sample) float64 { return s.perExec() }

// perExec is the processor time of an execution in nanoseconds.
func (s sample) perExec() float64 { return float64(s.cpu.Nanoseconds()) / float64(s.execs) }

// rate is executions per second.
func (s sample) rate() float64 { return float64(s.execs) / s.wall.Seconds() }
