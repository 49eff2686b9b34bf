package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Past is what a campaign knows of its past; it is kept in a file between processes.
type Past struct {
	Version int `json:"version"`
	// Seed is what the seeds of all turns follow from.
	Seed uint64 `json:"seed"`
	// Session is the campaign that is at work, or the last one.
	Session Session `json:"session"`
	// Targets are by name. Those that the file no longer has stay: it may have them again.
	Targets map[string]*TargetPast `json:"targets"`
}

// Session is a campaign from its start to the end of its duration, in one process or, where
// it was stopped, in several.
type Session struct {
	Mode    Mode      `json:"mode"`
	Started time.Time `json:"started"`
	// Used is how long it has fuzzed, in seconds.
	Used float64 `json:"used_seconds"`
	// Ended says that its duration is over, or that it had none.
	Ended bool `json:"ended"`
}

// TargetPast is what a campaign knows of a target.
type TargetPast struct {
	Turns    int     `json:"turns"`
	Used     float64 `json:"used_seconds"`
	Estimate float64 `json:"gain_per_second"`
	Credit   float64 `json:"credit_seconds"`
	Execs    uint64  `json:"execs_done"`
	// Checked says that what was saved ran in this session.
	Checked bool `json:"checked,omitempty"`
	// Before are keys of the findings that were open when the session began: all others are
	// new. Listed says that they were listed.
	Before []string `json:"findings_before,omitempty"`
	Listed bool     `json:"listed,omitempty"`
	// Problem is why it could not run the last time, "" if it could.
	Problem string `json:"problem,omitempty"`
}

const (
	pastVersion = 1
	// maxPast bounds the file in bytes: each of maxTargets takes a few hundred.
	maxPast = 64 << 20
)

// NewPast returns that of a campaign without a past.
func NewPast(seed uint64) *Past {
	return &Past{Version: pastVersion, Seed: seed, Targets: map[string]*TargetPast{}}
}

// ReadPast reads a state, nil where there is no file.
func ReadPast(path string) (*Past, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the campaign's state: %w", err)
	}
	defer f.Close()
	s := NewPast(0)
	if err := json.NewDecoder(io.LimitReader(f, maxPast)).Decode(s); err != nil {
		return nil, fmt.Errorf("reading the campaign's state %s: %w; remove it to begin anew with the corpora that are there", path, err)
	}
	if s.Version != pastVersion {
		return nil, fmt.Errorf("reading the campaign's state %s: it has version %d, not %d; use the bpffuzz that wrote it, or remove it to begin anew with the corpora that are there", path, s.Version, pastVersion)
	}
	for name, t := range s.Targets {
		if t == nil {
			delete(s.Targets, name)
		}
	}
	return s, nil
}

// Begin begins a session, or goes on with one of the same mode that was stopped before
// duration was over, of which it returns how long it has fuzzed. Anew begins one in any
// case.
func (s *Past) Begin(mode Mode, duration time.Duration, now time.Time, anew bool) (used time.Duration) {
	last := &s.Session
	used = seconds(max(last.Used, 0))
	if !anew && !last.Started.IsZero() && !last.Ended && last.Mode == mode && (duration == 0 || used < duration) {
		return used
	}
	s.Session = Session{Mode: mode, Started: now}
	for _, t := range s.Targets {
		t.Checked, t.Listed, t.Before = false, false, nil
	}
	return 0
}

// Target returns the state of the target of that name, which is made if it is missing.
func (s *Past) Target(name string) *TargetPast {
	t := s.Targets[name]
	if t == nil {
		t = &TargetPast{}
		s.Targets[name] = t
	}
	return t
}

// share returns how the target stands in a schedule.
func (t *TargetPast) share() Share {
	return Share{Turns: max(t.Turns, 0), Used: seconds(max(t.Used, 0)), Estimate: max(t.Estimate, 0), Credit: t.Credit}
}

// take notes how the target stands in a schedule.
func (t *TargetPast) take(s Share) {
	t.Turns, t.Used, t.Estimate, t.Credit = s.Turns, s.Used.Seconds(), s.Estimate, s.Credit
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// turnSeed returns the seed of a target's n-th turn: another one for each, and the same
// one when the same campaign is run again.
func turnSeed(seed uint64, target string, n int) uint64 {
	h := seed ^ 0x9e3779b97f4a7c15
	for i := range len(target) {
		h = mixed(h ^ uint64(target[i]))
	}
	return mixed(h ^ uint64(n))
}

// mixed spreads each bit over all, as the last step of splitmix64 does.
func mixed(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
