package awsapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

type filterJSON struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type listRequest struct {
	CommandId  string
	InstanceId string
	MaxResults int
	NextToken  string
	Filters    []filterJSON
	Details    bool
}

// defaultPage is how many rows a list gives where MaxResults says nothing.
const defaultPage = 50

func (a *API) listCommands(ctx context.Context, c *Call) (any, error) {
	var in listRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{CommandID: in.CommandId}
	q, err := in.query(true)
	if err != nil {
		return nil, err
	}
	if revision, limit, ok := waitHeader(c.Header.Get(HeaderWait)); ok && in.CommandId != "" {
		err := a.cfg.Control.WaitRevision(ctx, c.Scope, in.CommandId, revision, limit)
		if err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
			return nil, err
		}
	}
	page, err := a.page(c, a.races.limit(pageSize(in.MaxResults)), in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		Commands  []commandJSON
		NextToken string `json:",omitempty"`
	}
	out.Commands = []commandJSON{}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, next, err := tx.ListCommands(c.Scope, q, page)
		if err != nil {
			return err
		}
		for i := range list {
			if !a.races.unseen(list[i].ID) {
				out.Commands = append(out.Commands, commandOut(&list[i], sortedIDs(list[i].InstanceIDs)))
			}
		}
		if in.CommandId != "" && len(list) == 1 {
			a.showRevision(c, &list[0])
		}
		out.NextToken = a.next(c, next)
		return nil
	})
	return out, err
}

// showRevision begins or goes on with a long poll.
func (a *API) showRevision(c *Call, cmd *ssmrun.Command) {
	if a.races == nil {
		c.Answer.Set(HeaderRevision, strconv.FormatInt(cmd.Revision, 10))
	}
}

// waitHeader reads "REVISION;SECONDS". Anything else is no long poll.
func waitHeader(h string) (revision int64, limit time.Duration, ok bool) {
	n, s, found := strings.Cut(h, ";")
	if !found {
		return 0, 0, false
	}
	revision, err := strconv.ParseInt(n, 10, 64)
	seconds, err2 := strconv.Atoi(s)
	if err != nil || err2 != nil || seconds < 1 {
		return 0, 0, false
	}
	return revision, min(time.Duration(seconds)*time.Second, MaxWait), true
}

func pageSize(n int) int {
	if n == 0 {
		return defaultPage
	}
	return n
}

// query reads the filters. ExecutionStage is ListCommands' alone.
func (in *listRequest) query(stage bool) (store.CommandQuery, error) {
	q := store.CommandQuery{CommandID: in.CommandId, InstanceID: in.InstanceId}
	for _, f := range in.Filters {
		switch f.Key {
		case "InvokedAfter", "InvokedBefore":
			t, err := time.Parse(time.RFC3339, f.Value)
			if err != nil {
				return q, ssmrun.Errorf(ssmrun.CodeValidation, "The value of filter %s must be a time of the form 2006-01-02T15:04:05Z.", f.Key)
			}
			if f.Key == "InvokedAfter" {
				q.InvokedAfter = t
			} else {
				q.InvokedBefore = t
			}
		case "Status":
			q.Statuses = append(q.Statuses, f.Value)
		case "DocumentName":
			q.Document = f.Value
		case "ExecutionStage":
			if !stage {
				return q, ssmrun.Errorf(ssmrun.CodeInvalidFilterKey, "ExecutionStage is a filter of ListCommands only.")
			}
			switch f.Value {
			case "Executing":
				q.Executing = true
			case "Complete":
				q.Complete = true
			default:
				return q, ssmrun.Errorf(ssmrun.CodeValidation, "The value of filter ExecutionStage must be Executing or Complete.")
			}
		}
	}
	return q, nil
}
