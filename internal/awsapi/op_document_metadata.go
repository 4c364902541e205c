package awsapi

import (
	"context"
	"errors"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

type reviewComment struct {
	Type    string
	Content string
}

// updateDocumentMetadata is a step of a review. Who may review is not asked:
// whoever may call may.
func (a *API) updateDocumentMetadata(ctx context.Context, c *Call) (any, error) {
	var in struct {
		documentRequest
		DocumentReviews struct {
			Action  string
			Comment []reviewComment
		}
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	comment := ""
	if len(in.DocumentReviews.Comment) > 0 {
		comment = in.DocumentReviews.Comment[0].Content
	}
	now := a.cfg.Now().UTC()
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		d, v, err := reviewed(tx, c.Scope, &in.documentRequest)
		if err != nil {
			return err
		}
		reviews, err := tx.DocumentReviews(d.Scope, d.Name, v.Number)
		if err != nil {
			return err
		}
		r, err := review(in.DocumentReviews.Action, v, reviews, c.Caller.ARN, now)
		if err != nil {
			return err
		}
		r.Comment, r.Updated = comment, now
		v.ReviewStatus = r.Status
		return errors.Join(tx.PutDocumentVersion(d.Scope, d.Name, v), tx.PutDocumentReview(d.Scope, d.Name, v.Number, r))
	})
	return struct{}{}, err
}

// review gives the review that an action writes: a new one, or for UpdateReview
// the reviewer's own last word, whose comment changes.
func review(action string, v *ssmrun.DocumentVersion, reviews []ssmrun.DocumentReview, reviewer string, now time.Time) (*ssmrun.DocumentReview, error) {
	r := &ssmrun.DocumentReview{Number: 1, Reviewer: reviewer, Created: now}
	if len(reviews) > 0 {
		r.Number = reviews[0].Number + 1
	}
	pending := v.ReviewStatus == ssmrun.ReviewPending
	switch {
	case action == "SendForReview" && !pending:
		r.Status = ssmrun.ReviewPending
	case action == "Approve" && pending:
		r.Status = ssmrun.ReviewApproved
	case action == "Reject" && pending:
		r.Status = ssmrun.ReviewRejected
	case action == "UpdateReview" && len(reviews) > 0 && reviews[0].Reviewer == reviewer:
		return &reviews[0], nil
	case action == "UpdateReview":
		return nil, ssmrun.Errorf(CodeInvalidDocumentOperation, "UpdateReview changes the last review, and version %d has none of yours.", v.Number)
	case action == "SendForReview":
		return nil, ssmrun.Errorf(CodeInvalidDocumentOperation, "Version %d is being reviewed already.", v.Number)
	default:
		return nil, ssmrun.Errorf(CodeInvalidDocumentOperation, "%s needs a version that is being reviewed: send version %d for review first.", action, v.Number)
	}
	return r, nil
}

// reviewed finds the version that a call about reviews means.
func reviewed(tx store.Tx, scope ssmrun.Scope, in *documentRequest) (*ssmrun.Document, *ssmrun.DocumentVersion, error) {
	d, err := ownDocument(tx, scope, in.Name)
	if err != nil {
		return nil, nil, err
	}
	v, err := tx.DocumentVersion(scope, in.Name, in.DocumentVersion)
	if errors.Is(err, ssmrun.ErrNotFound) {
		err = wrongVersion(in.DocumentVersion, d.Latest)
	}
	return d, v, err
}

type reviewerResponse struct {
	CreateTime   epoch
	UpdatedTime  epoch
	ReviewStatus ssmrun.ReviewStatus
	Comment      []reviewComment `json:",omitempty"`
	Reviewer     string
}

func (a *API) listDocumentMetadataHistory(ctx context.Context, c *Call) (any, error) {
	var in struct {
		documentRequest
		MaxResults int
		NextToken  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	page, err := a.page(c, pageSize(in.MaxResults), in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		Name            string
		DocumentVersion string
		Author          string `json:",omitempty"`
		Metadata        struct{ ReviewerResponse []reviewerResponse }
		NextToken       string `json:",omitempty"`
	}
	list := []reviewerResponse{}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		d, v, err := reviewed(tx, c.Scope, &in.documentRequest)
		if err != nil {
			return err
		}
		out.Name, out.DocumentVersion, out.Author = d.Name, ssmrun.DocumentVersionNumber(v.Number), v.Author
		reviews, err := tx.DocumentReviews(d.Scope, d.Name, v.Number)
		last := int64(0)
		for i := range reviews { // newest first
			r := &reviews[i]
			if page.Token != "" && r.Number >= placeNumber(page.Token) {
				continue
			}
			if len(list) == page.Limit {
				out.NextToken = a.next(c, ssmrun.DocumentVersionNumber(last))
				break
			}
			last = r.Number
			response := reviewerResponse{CreateTime: epoch(r.Created), UpdatedTime: epoch(r.Updated), ReviewStatus: r.Status, Reviewer: r.Reviewer}
			if r.Comment != "" {
				response.Comment = []reviewComment{{"Comment", r.Comment}}
			}
			list = append(list, response)
		}
		return err
	})
	out.Metadata.ReviewerResponse = list
	return out, err
}
