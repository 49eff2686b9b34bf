package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// liveFlags have the kernel do with packets what an XDP program says.
type liveFlags struct {
	on            bool
	frames, batch int
}

func (f *liveFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.on, "live", false, "pass, send and redirect packets for real, in a private network namespace (XDP only)")
	flags.IntVar(&f.frames, "live-frames", 1, "with --live, send each packet so many `times` in one call")
	flags.IntVar(&f.batch, "batch-size", 0, "with --live, frames that the kernel sends at once (default: its own, 64)")
}

// options returns nil where nothing is live.
func (f *liveFlags) options() (*bpf.Live, error) {
	switch {
	case !f.on && f.frames != 1:
		return nil, usageError("--live-frames is of live frames only: add --live")
	case !f.on && f.batch != 0:
		return nil, usageError("--batch-size is of live frames only: add --live")
	case f.frames < 1:
		return nil, usageError("--live-frames %d: choose 1 or more", f.frames)
	case f.batch < 0:
		return nil, usageError("--batch-size %d: choose 1 or more, or 0 for the kernel's", f.batch)
	case !f.on:
		return nil, nil
	}
	return &bpf.Live{Frames: f.frames, Batch: f.batch}, nil
}

// words are the flags as they were given.
func (f *liveFlags) words() []string {
	if !f.on {
		return nil
	}
	words := []string{"--live"}
	if f.frames > 1 {
		words = append(words, "--live-frames", strconv.Itoa(f.frames))
	}
	if f.batch > 0 {
		words = append(words, "--batch-size", strconv.Itoa(f.batch))
	}
	return words
}

// sayLive says what became of live frames, if there were any.
func sayLive(u *ui, r *bpf.LiveReport) {
	if r == nil {
		return
	}
	u.say("live: %s, %d passed to the stack, %d sent, %d of them arrived, %d lost; errors: %d xdp_redirect_err, %d xdp_devmap_xmit, %d xdp_exception",
		count(int(r.Frames), "frame"), r.Passed, r.Sent, r.Arrived, r.Lost, r.RedirectErrors, r.TransmitErrors, r.Exceptions)
}
