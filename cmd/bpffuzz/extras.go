package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// profileRepeat is how often an input is run for its profile: enough that what the
// system call itself takes does not show.
const profileRepeat = 10_000

// profile runs the last step of each input many times, in the program as it is, and
// adds what the processor counts. It comes after the replay, whose maps the runs
// would change.
func (f *replayFlags) profile(u *ui, inputs []named, results []*replayed) error {
	program, err := f.openPlain()
	if err != nil {
		return err
	}
	for i, one := range inputs {
		call, err := program.RawStep(&one.in.Steps[len(one.in.Steps)-1])
		if err != nil {
			return errors.Join(err, program.Close())
		}
		call.Profile = true
		if program.Repeats() {
			call.Repeat = profileRepeat
		}
		result, err := program.Run(call)
		if err != nil {
			return errors.Join(err, program.Close())
		}
		results[i].Profile = newProfile(result.Counters)
		if !f.json {
			var b strings.Builder
			fmt.Fprintf(&b, "profile of %s, %s\n", one.name, count(int(max(call.Repeat, 1)), "run"))
			writeProfile(&b, results[i].Profile)
			u.print(b.String())
		}
	}
	return program.Close()
}

// countedLoaded is counted for the loaded program that the flags mean; without one it
// calls do alone.
func (f *targetFlags) countedLoaded(do func() error) (*loadedSummary, error) {
	if !f.kernel.loaded() {
		return nil, do()
	}
	program, err := bpf.OpenLoaded(f.kernel.which)
	if err != nil {
		return nil, err
	}
	s, err := counted(program, do)
	return s, errors.Join(err, program.Close())
}
