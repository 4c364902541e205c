package sim

import (
	"sync/atomic"
	"time"
)

// counts are of all agents.
type counts struct {
	jobs, duplicates, cancels, refused, answered, twice, acknowledged, owed atomic.Int64
	registering                                                             time.Duration
}

// Report is what came and what was answered.
type Report struct {
	Agents int `json:"agents"`
	// Jobs are commands that were taken; Duplicates offers of those that had
	// been; Cancels cancels; Refused what could not be read.
	Jobs       int64 `json:"jobs"`
	Duplicates int64 `json:"duplicates"`
	Cancels    int64 `json:"cancels"`
	Refused    int64 `json:"refused"`
	// Answered are commands whose result was told, Twice those whose agent then
	// contradicted itself, Acknowledged those whose result the service has.
	Answered     int64 `json:"answered"`
	Twice        int64 `json:"answered_twice"`
	Acknowledged int64 `json:"acknowledged"`
	// Owed are replies of all kinds that the service has not acknowledged.
	Owed int64 `json:"owed"`
}

func (f *Fleet) report() Report {
	c := &f.counts
	return Report{
		Agents: len(f.agents), Jobs: c.jobs.Load(), Duplicates: c.duplicates.Load(), Cancels: c.cancels.Load(),
		Refused: c.refused.Load(), Answered: c.answered.Load(), Twice: c.twice.Load(),
		Acknowledged: c.acknowledged.Load(), Owed: c.owed.Load(),
	}
}
