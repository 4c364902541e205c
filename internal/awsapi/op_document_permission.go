package awsapi

import (
	"context"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

func (a *API) modifyDocumentPermission(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Name                  string
		AccountIdsToAdd       []string
		AccountIdsToRemove    []string
		SharedDocumentVersion string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	err := a.cfg.Store.Update(ctx, func(tx store.Tx) error {
		if _, err := ownDocument(tx, c.Scope, in.Name); err != nil {
			return err
		}
		for _, account := range in.AccountIdsToAdd {
			s := ssmrun.DocumentShare{Account: shareAccount(account), Version: orElse(in.SharedDocumentVersion, ssmrun.DefaultVersion)}
			if err := tx.PutDocumentShare(c.Scope, in.Name, s); err != nil {
				return err
			}
		}
		for _, account := range in.AccountIdsToRemove {
			if err := tx.RemoveDocumentShare(c.Scope, in.Name, shareAccount(account)); err != nil {
				return err
			}
		}
		shares, err := tx.DocumentShares(c.Scope, in.Name)
		if err == nil && len(shares) > ssmrun.MaxDocumentShares {
			err = ssmrun.Errorf(CodeDocumentPermissionLimit, "A document can be shared with %d accounts. Remove some, or share it with all.", ssmrun.MaxDocumentShares)
		}
		return err
	})
	return struct{}{}, err
}

// shareAccount is an account of a share; "All" may be written in any letters.
func shareAccount(account string) string {
	if strings.EqualFold(account, ssmrun.EveryAccount) {
		return ssmrun.EveryAccount
	}
	return account
}

type accountSharingInfo struct {
	AccountId             string
	SharedDocumentVersion string
}

func (a *API) describeDocumentPermission(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Name       string
		MaxResults int
		NextToken  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	limit := in.MaxResults
	if limit == 0 {
		limit = 20 // the model's bound of an AccountIdList
	}
	page, err := a.page(c, limit, in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		AccountIds             []string
		AccountSharingInfoList []accountSharingInfo
		NextToken              string `json:",omitempty"`
	}
	out.AccountIds, out.AccountSharingInfoList = []string{}, []accountSharingInfo{}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		if _, err := ownDocument(tx, c.Scope, in.Name); err != nil {
			return err
		}
		shares, err := tx.DocumentShares(c.Scope, in.Name)
		for _, s := range shares {
			if s.Account <= page.Token {
				continue
			}
			if n := len(out.AccountIds); n == page.Limit {
				out.NextToken = a.next(c, out.AccountIds[n-1])
				break
			}
			out.AccountIds = append(out.AccountIds, s.Account)
			out.AccountSharingInfoList = append(out.AccountSharingInfoList, accountSharingInfo{s.Account, s.Version})
		}
		return err
	})
	return out, err
}
