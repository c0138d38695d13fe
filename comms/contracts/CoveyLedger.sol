// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// The ledger of one training run: signed statements of peers and validators, in one order.
///
/// Every call carries the ed25519 signature of the peer in whose name it is made. The contract cannot check it and repeats
/// it in the event; readers skip events whose signature does not hold (docs/ledger.md). What the contract itself knows are
/// wallets: a registration, its stake and everything said about it belong to the wallet that made it.
///
/// Nobody administers the contract, and it cannot be changed.
contract CoveyLedger {
    /// What a wallet has here.
    struct Account {
        /// The peer's ed25519 key.
        bytes32 key;
        /// Calls so far; the next one must say so, and is signed for it.
        uint64 calls;
        /// When it left, in seconds since 1970.
        uint64 leftAt;
        /// Whether it is registered.
        bool isMember;
        /// What it can get back after leaving, in wei.
        uint256 deposit;
    }

    /// The verdict of a round, by digest.
    struct Scores {
        bytes32 verdict;
        bytes32 payouts;
    }

    /// The weights at the start of a round, by digest.
    struct Checkpoint {
        bytes32 lineage;
        bytes32 weights;
    }

    /// Validators are 1 to this many, as in every other keeper of the ledger.
    uint256 public constant MAX_VALIDATORS = 64;

    /// The run: BLAKE3 of its description.
    bytes32 public immutable run;
    /// What registering costs until one leaves, in wei.
    uint256 public immutable stake;
    /// How long after leaving the stake comes back, in seconds.
    uint64 public immutable delay;
    /// The block of the deployment: where readers begin.
    uint64 public immutable firstBlock;

    /// How many lines the ledger has; the next event has this number.
    uint64 public lines;
    /// How often the validators changed.
    uint64 public generation;
    /// How many validators must say the same.
    uint32 public threshold;

    address[] private wallets;
    mapping(address wallet => Account) public accounts;
    mapping(uint64 generation => mapping(address wallet => bytes32 key)) public validatorKey;

    mapping(uint64 generation => mapping(address wallet => bytes32 proposal)) private votes;
    mapping(uint64 generation => mapping(bytes32 proposal => uint32 count)) private voters;
    mapping(uint32 round => mapping(bytes32 key => bytes32 what)) private scoresSaid;
    mapping(uint32 round => mapping(bytes32 key => bytes32 what)) private checkpointsSaid;

    /// What enough validators said about a round; zero before that.
    mapping(uint32 round => Scores) public agreedScores;
    /// Which weights enough validators named for the start of a round; zero before that.
    mapping(uint32 round => Checkpoint) public agreedCheckpoint;

    event Registered(
        uint64 indexed number, address indexed wallet, bytes32 indexed key, uint64 call, bytes32[2] signature, string bucket
    );
    event Announced(
        uint64 indexed number, address indexed wallet, bytes32 indexed key, uint64 call, bytes32[2] signature, string bucket
    );
    event Rotated(
        uint64 indexed number,
        address indexed wallet,
        bytes32 indexed key,
        uint64 call,
        bytes32[2] signature,
        bytes32 to,
        bytes32[2] consent
    );
    event Left(uint64 indexed number, address indexed wallet, bytes32 indexed key, uint64 call, bytes32[2] signature);
    event ScoresPosted(
        uint64 indexed number,
        address indexed wallet,
        bytes32 indexed key,
        uint64 call,
        bytes32[2] signature,
        uint32 round,
        bytes32 verdict,
        bytes32 payouts
    );
    event CheckpointPosted(
        uint64 indexed number,
        address indexed wallet,
        bytes32 indexed key,
        uint64 call,
        bytes32[2] signature,
        uint32 round,
        bytes32 lineage,
        bytes32 weights
    );
    event ValidatorsVoted(
        uint64 indexed number,
        address indexed wallet,
        bytes32 indexed key,
        uint64 call,
        bytes32[2] signature,
        uint64 generation,
        uint32 threshold,
        bytes32[] keys,
        address[] wallets
    );
    event Withdrawn(address indexed wallet, uint256 amount);

    error StaleCall(uint64 expected);
    error AlreadyMember();
    error NotMember();
    error NotValidator();
    error AlreadySaid();
    error WrongStake(uint256 expected);
    error WrongGeneration(uint64 expected);
    error BadValidators();
    error BucketTooLong();
    error NothingToWithdraw();
    error TooEarly(uint256 until);
    error NotPaid();

    constructor(
        bytes32 run_,
        uint256 stake_,
        uint64 delay_,
        bytes32[] memory keys,
        address[] memory wallets_,
        uint32 threshold_
    ) {
        run = run_;
        stake = stake_;
        delay = delay_;
        firstBlock = uint64(block.number);
        checkValidators(keys, wallets_, threshold_);
        install(keys, wallets_, threshold_);
    }

    /// The wallet's peer takes part from now on, for the stake less what the wallet still has here.
    function register(bytes32 key, string calldata bucket, uint64 call, bytes32[2] calldata signature) external payable {
        Account storage account = accounts[msg.sender];
        if (account.isMember) revert AlreadyMember();
        if (msg.value != stake - account.deposit) revert WrongStake(stake - account.deposit);
        checkBucket(bucket);
        uint64 number = take(account, call);
        account.key = key;
        account.deposit = stake;
        account.isMember = true;
        emit Registered(number, msg.sender, key, call, signature, bucket);
    }

    /// The wallet's peer moves its deltas; an empty text is the run's bucket.
    function announce(string calldata bucket, uint64 call, bytes32[2] calldata signature) external {
        Account storage account = member();
        checkBucket(bucket);
        uint64 number = take(account, call);
        emit Announced(number, msg.sender, account.key, call, signature, bucket);
    }

    /// The wallet's peer goes on under another key, which signs, too.
    function rotate(bytes32 to, uint64 call, bytes32[2] calldata signature, bytes32[2] calldata consent) external {
        Account storage account = member();
        uint64 number = take(account, call);
        bytes32 key = account.key;
        account.key = to;
        emit Rotated(number, msg.sender, key, call, signature, to, consent);
    }

    /// The wallet's peer takes part no longer.
    function depart(uint64 call, bytes32[2] calldata signature) external {
        Account storage account = member();
        uint64 number = take(account, call);
        account.isMember = false;
        account.leftAt = uint64(block.timestamp);
        emit Left(number, msg.sender, account.key, call, signature);
    }

    /// Pays the stake back, a delay after leaving.
    function withdraw() external {
        Account storage account = accounts[msg.sender];
        uint256 amount = account.deposit;
        if (account.isMember || amount == 0) revert NothingToWithdraw();
        uint256 until = uint256(account.leftAt) + delay;
        if (block.timestamp < until) revert TooEarly(until);
        // Before the payment, so that whoever is paid cannot ask again meanwhile.
        account.deposit = 0;
        emit Withdrawn(msg.sender, amount);
        (bool isPaid,) = msg.sender.call{value: amount}("");
        if (!isPaid) revert NotPaid();
    }

    /// A validator names the verdict on a round, and what is paid out for it; no payouts are zero.
    function postScores(uint32 round, bytes32 verdict, bytes32 payouts, uint64 call, bytes32[2] calldata signature)
        external
    {
        bytes32 key = validator();
        uint64 number = take(accounts[msg.sender], call);
        if (isAgreed(scoresSaid[round], key, keccak256(abi.encode(verdict, payouts)))) {
            // What was agreed on first stays.
            if (agreedScores[round].verdict == 0) agreedScores[round] = Scores(verdict, payouts);
        }
        emit ScoresPosted(number, msg.sender, key, call, signature, round, verdict, payouts);
    }

    /// A validator names the weights at the start of a round.
    function postCheckpoint(uint32 round, bytes32 lineage, bytes32 weights, uint64 call, bytes32[2] calldata signature)
        external
    {
        bytes32 key = validator();
        uint64 number = take(accounts[msg.sender], call);
        if (isAgreed(checkpointsSaid[round], key, keccak256(abi.encode(lineage, weights)))) {
            if (agreedCheckpoint[round].weights == 0) agreedCheckpoint[round] = Checkpoint(lineage, weights);
        }
        emit CheckpointPosted(number, msg.sender, key, call, signature, round, lineage, weights);
    }

    /// A validator votes for the next validators; its last vote counts, and enough equal ones make it so.
    function voteValidators(
        uint64 next,
        uint32 threshold_,
        bytes32[] calldata keys,
        address[] calldata wallets_,
        uint64 call,
        bytes32[2] calldata signature
    ) external {
        bytes32 key = validator();
        if (next != generation + 1) revert WrongGeneration(generation + 1);
        checkValidators(keys, wallets_, threshold_);
        uint64 number = take(accounts[msg.sender], call);
        emit ValidatorsVoted(number, msg.sender, key, call, signature, next, threshold_, keys, wallets_);
        bytes32 proposal = keccak256(abi.encode(threshold_, keys, wallets_));
        bytes32 before = votes[next][msg.sender];
        if (before != 0) voters[next][before] -= 1;
        votes[next][msg.sender] = proposal;
        voters[next][proposal] += 1;
        if (voters[next][proposal] >= threshold) {
            generation = next;
            install(keys, wallets_, threshold_);
        }
    }

    /// The wallets of the validators.
    function validators() external view returns (address[] memory) {
        return wallets;
    }

    function member() private view returns (Account storage account) {
        account = accounts[msg.sender];
        if (!account.isMember) revert NotMember();
    }

    function validator() private view returns (bytes32 key) {
        key = validatorKey[generation][msg.sender];
        if (key == 0) revert NotValidator();
    }

    /// The number of the next line, for a call that was signed for just this moment.
    function take(Account storage account, uint64 call) private returns (uint64 number) {
        if (call != account.calls) revert StaleCall(account.calls);
        account.calls = call + 1;
        number = lines;
        lines = number + 1;
    }

    /// Notes what a validator says, and tells whether enough of those who validate now say the same.
    function isAgreed(mapping(bytes32 => bytes32) storage said, bytes32 key, bytes32 what) private returns (bool) {
        if (said[key] != 0) revert AlreadySaid();
        said[key] = what;
        uint256 count;
        for (uint256 i; i < wallets.length; i++) {
            if (said[validatorKey[generation][wallets[i]]] == what) count++;
        }
        return count >= threshold;
    }

    function install(bytes32[] memory keys, address[] memory wallets_, uint32 threshold_) private {
        wallets = wallets_;
        threshold = threshold_;
        for (uint256 i; i < keys.length; i++) {
            // One wallet cannot be two validators.
            if (validatorKey[generation][wallets_[i]] != 0) revert BadValidators();
            validatorKey[generation][wallets_[i]] = keys[i];
        }
    }

    function checkValidators(bytes32[] memory keys, address[] memory wallets_, uint32 threshold_) private pure {
        uint256 count = keys.length;
        if (count == 0 || count > MAX_VALIDATORS || wallets_.length != count) revert BadValidators();
        if (threshold_ > count || threshold_ <= count / 2) revert BadValidators();
        bytes32 before;
        for (uint256 i; i < count; i++) {
            // Ascending, so that there is one way to write a set.
            if (keys[i] <= before || wallets_[i] == address(0)) revert BadValidators();
            before = keys[i];
        }
    }

    function checkBucket(string calldata bucket) private pure {
        if (bytes(bucket).length > 512) revert BucketTooLong();
    }
}
