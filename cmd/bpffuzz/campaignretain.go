package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// retain removes from the target's directory what is beyond the limits of the campaign. A
// turn that began at since has ended with a result, and still has the directory.
func (t *campaignTarget) retain(out *output, s *subject, result *fuzz.Result, since time.Time) error {
	limits := t.f.file.Retention
	if limits == (campaign.Retention{}) || result == nil {
		return nil
	}
	n, err := out.corpus.Retain(result.Entries, since, s.target.Table().Work, corpus.Limits{Bytes: limits.Bytes, Entries: limits.Entries})
	if err != nil {
		return err
	}
	if n > 0 {
		t.u.say("removed %s of the corpus, which is beyond its limits", count(n, "file"))
	}
	if limits.Unconfirmed > 0 {
		if _, err := out.unconfirmed.Expire(time.Now().Add(-limits.Unconfirmed)); err != nil {
			return err
		}
	}
	return thinPlot(filepath.Join(out.dir, "plot.csv"), limits.Plot)
}

// thinPlot makes a table of progress fit a limit in bytes; 0 means none.
func thinPlot(path string, limit int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (limit == 0 || info.Size() <= limit) {
		return nil
	}
	var table []byte
	if err == nil {
		table, err = os.ReadFile(path)
	}
	if err == nil {
		err = writeWhole(path, campaign.ThinPlot(table, limit))
	}
	if err != nil {
		return fmt.Errorf("making %s smaller: %w", path, explainFull(err))
	}
	return nil
}
