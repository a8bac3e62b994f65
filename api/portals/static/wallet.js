// Signing with a wallet in the browser (EIP-1193). A firm's key stays in its wallet; the server prepares, we ask, it verifies.
//
//   const wallet = await connect(window.ethereum);
//   await wallet.act("/v1/deliveries/0x.../confirmation?accepted_milli=11880", { csrf });
//
// Nothing is signed for another chain, another contract than the server's own form names, or by another account.

const DOMAIN = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
]; // wallets want the domain's type beside the form's, whose own types leave it out

export class WalletError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** The accounts of a wallet and what may be done with them. `provider` is any EIP-1193 provider. */
export async function connect(provider) {
  if (!provider || typeof provider.request !== "function") {
    throw new WalletError("no_wallet", "there is no wallet in this browser");
  }
  const accounts = await provider.request({ method: "eth_requestAccounts" });
  if (!accounts.length) throw new WalletError("no_account", "the wallet has no account for this page");
  return new Wallet(provider, accounts[0]);
}

export class Wallet {
  constructor(provider, account) {
    this.provider = provider;
    this.account = account;
  }

  /** Has a prepared form signed: the body to post back. */
  async sign(toSign) {
    const chain = await this.provider.request({ method: "eth_chainId" });
    if (BigInt(chain) !== BigInt(toSign.domain.chainId)) {
      throw new WalletError("wrong_chain", `the wallet is on chain ${BigInt(chain)}, the form is for ${toSign.domain.chainId}`);
    }
    if (!/^0x[0-9a-fA-F]{40}$/.test(toSign.domain.verifyingContract || "")) {
      throw new WalletError("no_contract", "the form names no contract");
    }
    const now = await this.provider.request({ method: "eth_accounts" });
    if (!now.some((one) => one.toLowerCase() === this.account.toLowerCase())) {
      throw new WalletError("other_account", "the wallet has another account now; connect again");
    }
    const signature = await this.provider.request({
      method: "eth_signTypedData_v4",
      params: [this.account, JSON.stringify({ ...toSign, types: { EIP712Domain: DOMAIN, ...toSign.types } })],
    });
    if (!/^0x[0-9a-fA-F]{130,}$/.test(signature)) {
      throw new WalletError("not_signed", "the wallet gave no signature");
    }
    return { message: toSign.message, signature };
  }

  /** Gets the form at a path of /v1, has it signed, and posts it to the same path. */
  async act(path, { csrf = "", once = crypto.randomUUID(), extra = {} } = {}) {
    const form = await read(await fetch(path, { headers: { accept: "application/json" } }));
    const body = { ...(await this.sign(form.to_sign)), ...extra };
    return read(
      await fetch(path.split("?")[0], {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": once, "x-csrf-token": csrf },
        body: JSON.stringify(body),
      }),
    );
  }
}

async function read(answer) {
  const body = await answer.json();
  if (!answer.ok) throw new WalletError(body.code || "refused", body.detail || `HTTP ${answer.status}`);
  return body;
}
